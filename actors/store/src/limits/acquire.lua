-- Checks one request against all limits of its caller and charges all or nothing.
-- The divisions are done by the caller; here only whole ticks (1/8 microsecond since 2020) are added and compared,
-- which doubles hold exactly. The same steps are in gcra.rs.
-- KEYS: 1 hash of drain times, 2 sorted set of in-flight slots.
-- ARGV: 1 now in ticks ('' = this server's clock), 2 and 3 request increment and window (0 = no limit),
--       4 and 5 token increment and window, 6 most in flight (0 = no limit), 7 slot id, 8 lease in ms.
-- Returns: admitted, request drain, token drain, request wait, token wait, full, now.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = math.max(0, (time[1] - 1577836800) * 8000000 + time[2] * 8)
end
local ms = math.floor(now / 8000)

local state = redis.pcall('HMGET', KEYS[1], 'r', 't')
if state.err then
  -- Not our type: a foreign value under our name is worth nothing.
  redis.call('DEL', KEYS[1])
  state = { false, false }
end

local function admit(stored, increment, window)
  if window == 0 then return 0, 0 end
  local drain = tonumber(stored or '') or 0
  -- No charge can have left more: the clock was set back, or the value is damaged (not a number, infinite).
  if not (drain <= now + 2 * window) then drain = now end
  local after = math.max(drain, now) + increment
  return drain, after - now - window, after
end

local r_window, t_window = tonumber(ARGV[3]), tonumber(ARGV[5])
local r_drain, r_wait, r_after = admit(state[1], tonumber(ARGV[2]), r_window)
local t_drain, t_wait, t_after = admit(state[2], tonumber(ARGV[4]), t_window)

local full, most = 0, tonumber(ARGV[6])
if most > 0 then
  local used = redis.pcall('ZCARD', KEYS[2])
  if type(used) ~= 'number' then
    redis.call('DEL', KEYS[2])
    used = 0
  end
  if used >= most then
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms)
    used = redis.call('ZCARD', KEYS[2])
    if used >= most then full = 1 end
  end
end

if full == 1 or r_wait > 0 or t_wait > 0 then
  return { 0, r_drain, t_drain, math.max(r_wait, 0), math.max(t_wait, 0), full, now }
end

local life = 0
if r_window > 0 then
  redis.call('HSET', KEYS[1], 'r', string.format('%.0f', r_after))
  r_drain, life = r_after, r_window
end
if t_window > 0 then
  redis.call('HSET', KEYS[1], 't', string.format('%.0f', t_after))
  t_drain, life = t_after, math.max(life, t_window)
end
if life > 0 then redis.call('PEXPIRE', KEYS[1], math.ceil(life * 2 / 8000) + 1000) end
if most > 0 then
  redis.call('ZADD', KEYS[2], ms + tonumber(ARGV[8]), ARGV[7])
  redis.call('PEXPIRE', KEYS[2], tonumber(ARGV[8]) * 2)
end
return { 1, r_drain, t_drain, 0, 0, 0, now }
