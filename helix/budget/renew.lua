-- Move the deadline of reservations that are still in flight.
-- KEYS: leases. ARGV: now in ms or '', the lease in ms, then their records. Returns how many were asked for.
local deadline = clock(ARGV[1]) + tonumber(ARGV[2])
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 'XX', deadline, ARGV[i]) end
return #ARGV - 2
