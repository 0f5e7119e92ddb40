-- payment.lua: the one decision about the fate of a payment, wherever it is asked about. It decides no stock.
--
-- KEYS  1 {pay:ID}  epoch:order:fate, where fate is empty while nothing is decided
-- ARGV  1 epoch  2 the order that was paid for  3 proposed fate, may be empty  4 life in ms
--       5 a fate that has turned out to be impossible and may be replaced, may be empty
-- Reply {'OTHER', order} the payment was made for another order | {'FATE', fate} the fate it has now
-- Invariant: a fate is decided once; who proposes another hears the first. A fate of another epoch does not count: the
-- rebuild wrote the true ones anew.

local known = redis.call('GET', KEYS[1])
if known then
  local epoch, order, fate = string.match(known, '^(%d+):(%d+):(.*)$')
  if order ~= ARGV[2] then return {'OTHER', order} end
  if epoch == ARGV[1] and fate ~= '' and fate ~= ARGV[5] then return {'FATE', fate} end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2] .. ':' .. ARGV[3], 'PX', ARGV[4])
return {'FATE', ARGV[3]}
