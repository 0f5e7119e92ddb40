-- fence.lua: the prologue of every script; the loader puts it in front of them.
--
-- Invariant: nothing is decided or changed by a Redis whose past is not accounted for (docs/promises.md, P1).
-- Three facts are checked in one step with the decision itself:
--   * the SKU's stock hash carries exactly the caller's epoch (a missing, closed or half-loaded one carries another);
--   * this server is a primary and its master_replid is one of those the epoch was opened with. The replid changes on every
--     restart, promotion and fail-back, so a server that may have lost its tail can not answer;
--   * the stock was filled on this very server: its `home` is the replid it was filled under (load.lua). In a cluster a slot can
--     be moved here from a server that had restarted since; its stock carries the epoch, may lack a tail, and is not at home.
-- An epoch has one replid per primary, separated by commas. Any of them will do: each names a server that was filled from
-- the truth for this epoch, and whose history is unbroken for as long as that replid stands. That is a word for what was filled
-- there, and for nothing that came later.
-- Returns nil when the caller may go on, otherwise the reply to return: {'FENCED', reason}.

local function replication()
  local info = redis.call('INFO', 'replication')
  return string.match(info, 'master_replid:(%x+)'), string.match(info, 'role:(%a+)')
end

-- Whole words only: part of an id is no id.
local function is_one_of(replids, replid)
  return replid ~= nil and string.find(',' .. replids .. ',', ',' .. replid .. ',', 1, true) ~= nil
end

-- Why this server is not one of those primaries; if it is: nil, and its own replid.
local function stranger(replids)
  local actual, role = replication()
  if role ~= 'master' then return 'ROLE ' .. tostring(role) end
  if not is_one_of(replids, actual) then return 'REPLID ' .. tostring(actual) end
  return nil, actual
end

local function fence(stock_key, epoch, replids)
  local found, home = unpack(redis.call('HMGET', stock_key, 'epoch', 'home'))
  if not found then return {'FENCED', 'MISSING'} end
  if found ~= epoch then return {'FENCED', 'EPOCH ' .. found} end
  local reason, actual = stranger(replids)
  if reason then return {'FENCED', reason} end
  if home ~= actual then return {'FENCED', 'HOME ' .. (home or 'unknown')} end
  return nil
end
