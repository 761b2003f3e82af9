-- Renews in-flight slots, adding those that ran out while the server could not be reached.
-- KEYS: 1 the sorted set of slots. ARGV: 1 lease in ms, then pairs of slot id and 0.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[1])
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
for i = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ms + lease, ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], lease * 2)
return 1
