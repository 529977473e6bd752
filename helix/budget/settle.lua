-- Put the real cost in the place of what a reservation holds, and forget the reservation, so that it happens once.
-- KEYS: leases, forget, the reservation's record. ARGV: the cost. Returns 1, or 0 where there is no such reservation.
local record = redis.call('GET', KEYS[3])
if not record then return 0 end
local held = counters(lines(record))
redis.call('ZREM', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[2], KEYS[3])
redis.call('DEL', KEYS[3])
book(held, tonumber(ARGV[1]))
return 1
