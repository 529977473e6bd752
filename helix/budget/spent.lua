-- What is settled and what is reserved in each limit's present period, and when that ends (Unix seconds; 0: never).
-- KEYS: leases, forget, then a counter's name for each limit. ARGV: now in ms or '', then a window for each limit.
local now = clock(ARGV[1])
while sweep(now, 256) > 0 do end
local found = {}
for i = 3, #KEYS do
  local name, ends = period(ARGV[i - 1], now)
  local settled, reserved = figures(KEYS[i] .. ':' .. name)
  found[#found + 1] = settled
  found[#found + 1] = reserved
  found[#found + 1] = ends
end
return found
