-- Ends one admission: frees the in-flight slot and replaces the estimated tokens by the true ones.
-- KEYS: 1 hash of drain times, 2 sorted set of in-flight slots.
-- ARGV: 1 now in ticks ('' = this server's clock), 2 slot id ('' = none), 3 token window (0 = nothing to settle),
--       4 increment charged, 5 increment of the true amount, 6 drain time right after the charge.
if ARGV[2] ~= '' and redis.call('TYPE', KEYS[2]).ok == 'zset' then
  redis.call('ZREM', KEYS[2], ARGV[2])
end
local window = tonumber(ARGV[3])
if window == 0 or redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = math.max(0, (time[1] - 1577836800) * 8000000 + time[2] * 8)
end
local stored = tonumber(redis.call('HGET', KEYS[1], 't') or '') or 0
if not (stored <= now + 2 * window) then stored = now end
local before, after, drained_at = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local drain
if after >= before then
  drain = math.min(math.max(stored, now) + after - before, now + 2 * window)
else
  local undrained = math.max(0, drained_at - now)
  drain = math.max(0, stored - math.min(before - after, undrained))
end
redis.call('HSET', KEYS[1], 't', string.format('%.0f', drain))
redis.call('PEXPIRE', KEYS[1], math.ceil(window * 2 / 8000) + 1000)
return 1
