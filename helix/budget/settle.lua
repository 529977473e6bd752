-- Put the real cost in the place of what a reservation holds, and forget the reservation, so that it happens once.
-- KEYS: leases, forget, the reservation's record. ARGV: the cost. Returns 1, or 0 where there is no such reservation.
local record = redis.call('GET', KEYS[3])
if not record then return 0 end
local parts = lines(record)
for i = 2, #parts do
  -- A counter that is gone belongs to a period that is over for a week.
  if redis.call('EXISTS', parts[i]) == 1 then
    if parts[1] ~= '0' then redis.call('HINCRBY', parts[i], 'r', '-' .. parts[1]) end
    redis.call('HINCRBY', parts[i], 's', ARGV[1])
  end
end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[2], KEYS[3])
return 1
