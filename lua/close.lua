-- close.lua: takes a SKU off sale before a rebuild, so that no older epoch can decide anything from here on.
--
-- KEYS  1 stock hash
-- ARGV  1 the rebuilding epoch
-- Reply 'CLOSED' | 'MISSING' nothing to close | 'NEWER' a higher epoch owns the SKU
-- Invariant: the mark 'closed:N' equals nobody's epoch; a SKU of a higher epoch is left alone.

local found = redis.call('HGET', KEYS[1], 'epoch')
if not found then return 'MISSING' end
local number = tonumber(string.match(found, '(%d+)$'))
if number >= tonumber(ARGV[1]) then return 'NEWER' end
redis.call('HSET', KEYS[1], 'epoch', 'closed:' .. ARGV[1])
return 'CLOSED'
