-- What is settled and what is reserved in counters.
-- KEYS: leases, forget, raises, then the counters. ARGV: now in ms or '', from when and until when these counters are the
-- present ones, then for each its bucket or ''.
-- Returns {0, now, then what the limit is raised to (-1: it is not), settled and reserved of each}, or {-2, now} where
-- the counters are not the present ones.
local now = clock(ARGV[1])
if now < tonumber(ARGV[2]) or now >= tonumber(ARGV[3]) then return {-2, now} end
while sweep(now, 256) > 0 do end
local reply = {0, now}
for _, counter in ipairs(standing(now, 4, KEYS[3], 4, 1)) do
  reply[#reply + 1] = counter.raised or -1
  reply[#reply + 1] = counter.settled
  reply[#reply + 1] = counter.reserved
end
return reply
