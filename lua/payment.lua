-- payment.lua: the one decision about the fate of a payment, wherever it is asked about. It decides no stock.
--
-- KEYS  1 {pay:ID}  epoch:order:fate, where fate is empty while nothing is decided
-- ARGV  1 epoch  2 replids  3 the order that was paid for  4 proposed fate, may be empty  5 life in ms
--       6 a fate that has turned out to be impossible and may be replaced, may be empty
-- Reply {'FENCED', reason}
--    or {'OTHER', order} the payment was made for another order | {'FATE', fate} the fate it has now
-- Invariant: a fate is decided once; who proposes another hears the first. A fate of another epoch does not count: the
-- rebuild wrote the true ones anew. It is decided by a primary of the epoch only: two that both believe to be
-- the primary must not give two words.

local epoch, replids, paid, proposed, life, instead_of = unpack(ARGV, 1, 6)
local reason = stranger(replids)
if reason then return {'FENCED', reason} end
local known = redis.call('GET', KEYS[1])
if known then
  local known_epoch, order, fate = string.match(known, '^(%d+):(%d+):(.*)$')
  if order ~= paid then return {'OTHER', order} end
  if known_epoch == epoch and fate ~= '' and fate ~= instead_of then return {'FATE', fate} end
end
redis.call('SET', KEYS[1], epoch .. ':' .. paid .. ':' .. proposed, 'PX', life)
return {'FATE', proposed}
