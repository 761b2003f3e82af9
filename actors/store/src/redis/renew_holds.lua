-- Renews budget holds, adding those that ran out while the server could not be reached. A settled hold stays settled.
-- KEYS: 1 the hash of holds. ARGV: 1 lease in ms, then pairs of hold id and amount.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[1])
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
for i = 2, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  if not old or not string.find(old, ':s', 1, true) then
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%d:%s', ms + lease, ARGV[i + 1]))
  end
end
redis.call('HDEL', KEYS[1], 'swept')
redis.call('PEXPIRE', KEYS[1], 3600000)
return 1
