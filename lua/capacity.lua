-- capacity.lua: changes how many units of a SKU exist while it is on sale.
--
-- KEYS  1 stock hash
-- ARGV  1 epoch  2 replids  3 capacity
-- Reply {'FENCED', reason} | {'OK', before, available, held, sold, closing} | {'BELOW', before, available, held, sold, closing}
-- Invariant: a capacity below what is held, sold or on its way back is refused; the same capacity again changes nothing.

local closed = fence(KEYS[1], ARGV[1], ARGV[2])
if closed then return closed end
local wanted = tonumber(ARGV[3])
local stock = redis.call('HMGET', KEYS[1], 'capacity', 'available', 'held', 'sold', 'closing')
for i = 1, 5 do stock[i] = tonumber(stock[i]) end
local before, available, held, sold, closing = unpack(stock)
local free = wanted - held - sold - closing
if free < 0 then return {'BELOW', before, available, held, sold, closing} end
if available <= 0 and free > 0 then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('HSET', KEYS[1], 'restocked_ms', string.format('%d', now)) -- see release.lua
end
redis.call('HSET', KEYS[1], 'available', string.format('%d', free), 'capacity', ARGV[3])
return {'OK', before, free, held, sold, closing}
