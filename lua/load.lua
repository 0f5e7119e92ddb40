-- load.lua: writes the stock of one SKU afresh from the truth, step by step, under a new epoch.
--
-- KEYS  1 stock hash  2 holds  3 hold details  4 buyers  5 winners  6 closing  7 closings
--       8.. idempotency keys (step 'keys' only)
-- ARGV  1 epoch  2 replids noted by the coordinator, separated by commas  3 step
--       begin:  nothing more. Empties the SKU and marks it 'loading:N'
--       block:  nothing more. Empties the SKU and marks it 'blocked:N': it is left closed when the epoch is opened
--       create: the fields of open. For a SKU that was never loaded before: refuses if there is anything
--       holds:  per hold: order, details, expires_at
--       keys:   per key: answer (quantity:order, and how it was settled; see reserve.lua), life (ms)
--       buyers: per buyer: user, units
--       open:   capacity, available, held, sold, seq, per_user, hold_ms, opens_at, closes_at, paused
-- Reply 'OK' | {'REFUSED', reason}
-- Invariant: refuses if the server is not a primary with one of the noted replids, or if the SKU belongs to a higher epoch, or
-- (after begin) if the loading mark is not this epoch's. The SKU carries the epoch itself only after the last step, and with it
-- its home, the replid of this server: wherever else it may be carried, nothing is decided there (fence.lua).

local stock_key, holds_key, hold_key, buyers_key, winners_key, closing_key, closings_key = unpack(KEYS, 1, 7)
local epoch, replids, step = ARGV[1], ARGV[2], ARGV[3]
local FIRST_KEY, FIRST_ARG = 8, 4
local LOADING = 'loading:' .. epoch

local function refuse(reason) return {'REFUSED', reason} end

local function open(home)
  redis.call('DEL', stock_key)
  redis.call('HSET', stock_key, 'epoch', epoch, 'home', home, 'capacity', ARGV[4], 'available', ARGV[5], 'held', ARGV[6],
    'sold', ARGV[7], 'closing', 0, 'seq', ARGV[8], 'opened_seq', ARGV[8], 'claims', 0, 'per_user', ARGV[9], 'hold_ms', ARGV[10],
    'opens_at', ARGV[11], 'closes_at', ARGV[12], 'paused', ARGV[13])
  return 'OK'
end

local steps = {}

local function empty(mark)
  redis.call('UNLINK', holds_key, hold_key, buyers_key, winners_key, closing_key, closings_key)
  redis.call('DEL', stock_key)
  redis.call('HSET', stock_key, 'epoch', mark)
  return 'OK'
end

function steps.begin() return empty(LOADING) end

function steps.block() return empty('blocked:' .. epoch) end

function steps.holds()
  for i = 0, (#ARGV - FIRST_ARG + 1) / 3 - 1 do
    local at = FIRST_ARG + i * 3
    redis.call('HSET', hold_key, ARGV[at], ARGV[at + 1])
    redis.call('ZADD', holds_key, ARGV[at + 2], ARGV[at])
  end
  return 'OK'
end

function steps.keys()
  for i = 0, #KEYS - FIRST_KEY do
    local at = FIRST_ARG + i * 2
    redis.call('SET', KEYS[FIRST_KEY + i], epoch .. ':' .. ARGV[at], 'PX', ARGV[at + 1])
  end
  return 'OK'
end

function steps.buyers()
  local clock = redis.call('TIME')
  local bucket = ':20000:' .. string.format('%d', clock[1] * 1000)
  for at = FIRST_ARG, #ARGV, 2 do
    redis.call('HSET', buyers_key, ARGV[at], ARGV[at + 1] .. bucket)
    redis.call('RPUSH', winners_key, ARGV[at])
  end
  return 'OK'
end

steps.open = open

local reason, actual = stranger(replids)
if reason then return refuse(reason) end
local found = redis.call('HGET', stock_key, 'epoch')
if step == 'create' then
  if found then return refuse('EXISTS ' .. found) end
  return open(actual)
end
if step == 'begin' or step == 'block' then
  local number = found and tonumber(string.match(found, '(%d+)$'))
  if number and number > tonumber(epoch) then return refuse('NEWER ' .. found) end
elseif found ~= LOADING then
  return refuse('MARK ' .. tostring(found))
end
return steps[step](actual)
