-- Appends a batch to a chain, all of it or nothing, only if the chain still ends where its writer believes.
-- KEYS: stream, state (hash), index of request ids (hash), open requests (hash), set of all chains
-- ARGV: chain id, expected head, new head, new anchor or '', number of requests, of events,
--       number of rows, of opened, of closed requests, then
--       rows: sequence, record, hash, columns, request id; opened: ticket, intent; closed: ticket
local head = redis.call('HGET', KEYS[2], 'head') or ''
if head == ARGV[3] and tonumber(ARGV[7]) > 0 then return 'already' end
if head ~= ARGV[2] then return redis.error_reply('CONFLICT the chain ends at ' .. head) end
local at = 10
for _ = 1, tonumber(ARGV[7]) do
  redis.call('XADD', KEYS[1], ARGV[at] .. '-1', 'record', ARGV[at + 1], 'hash', ARGV[at + 2], 'columns', ARGV[at + 3])
  redis.call('HSET', KEYS[3], ARGV[at + 4], ARGV[at])
  at = at + 5
end
for _ = 1, tonumber(ARGV[8]) do
  redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, tonumber(ARGV[9]) do
  redis.call('HDEL', KEYS[4], ARGV[at])
  at = at + 1
end
redis.call('HSET', KEYS[2], 'head', ARGV[3], 'chain', ARGV[1], 'clean', '0')
if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], 'anchor', ARGV[4]) end
redis.call('HINCRBY', KEYS[2], 'entries', ARGV[5])
redis.call('HINCRBY', KEYS[2], 'events', ARGV[6])
redis.call('SADD', KEYS[5], ARGV[1])
return 'done'
