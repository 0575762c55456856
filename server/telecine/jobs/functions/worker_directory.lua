-- The workers there are, what each is doing, and which were told to drain.

local WORKER_KEPT_SECONDS = 3600
local WORKER_CHANGES_KEPT = 1000

local function worker_key(queue, id)
  return queue .. ":worker:" .. id
end

-- Workers by when they count as lost unless they are heard of again.
local function workers_key(queue)
  return queue .. ":workers"
end

local function note_worker_change(queue, id)
  redis.call("XADD", queue .. ":worker_changes", "MAXLEN", "~", WORKER_CHANGES_KEPT, "*",
    "worker", id)
end

-- A drain is asked of one life of a worker: the next one under the same id does not end too.
local function is_drain_requested(queue, id)
  local lives = redis.call("HMGET", worker_key(queue, id), "life", "drained_life")
  return (lives[1] and lives[1] == lives[2]) and 1 or 0
end

-- Counts a worker among those that serve its models, until it must be heard of again.
local function count_alive(queue, args, now, expiry)
  for model in string.gmatch(args.models, "[^,]+") do
    local alive = queue .. ":alive:" .. model
    redis.call("ZREMRANGEBYSCORE", alive, "-inf", now)
    if args.is_serving == "1" then
      redis.call("ZADD", alive, expiry, args.worker)
    else
      redis.call("ZREM", alive, args.worker)
    end
  end
end

-- Answers whether the worker is to drain.
register("publish_worker", function(queue, args)
  local now = clock_micros()
  local expiry = now + tonumber(args.ttl_seconds) * MICROS
  local key = worker_key(queue, args.worker)
  local known = redis.call("HGET", key, "record")
  local known_expiry = tonumber(redis.call("ZSCORE", workers_key(queue), args.worker) or 0)
  redis.call("HSET", key, "record", args.record, "life", args.life, "update_time", now)
  redis.call("EXPIRE", key, WORKER_KEPT_SECONDS)
  redis.call("ZADD", workers_key(queue), expiry, args.worker)
  redis.call("ZREMRANGEBYSCORE", workers_key(queue), "-inf", now - WORKER_KEPT_SECONDS * MICROS)
  count_alive(queue, args, now, expiry)
  if known ~= args.record or known_expiry <= now or expiry <= now then
    note_worker_change(queue, args.worker)
  end
  return is_drain_requested(queue, args.worker)
end)

-- Answers one row a worker: its record, when it was heard of, whether it is alive and to drain.
register_reader("list_workers", function(queue)
  local now = clock_micros()
  local rows = {}
  local workers = redis.call("ZRANGE", workers_key(queue), 0, -1, "WITHSCORES")
  for i = 1, #workers, 2 do
    local id = workers[i]
    local values = redis.call("HMGET", worker_key(queue, id), "record", "update_time")
    if values[1] then
      local is_alive = tonumber(workers[i + 1]) > now and 1 or 0
      table.insert(rows, { values[1], values[2], is_alive, is_drain_requested(queue, id) })
    end
  end
  return rows
end)

-- Answers whether there is such a worker.
register("request_drain", function(queue, args)
  local life = redis.call("HGET", worker_key(queue, args.worker), "life")
  if not life then
    return 0
  end
  if is_drain_requested(queue, args.worker) == 0 then
    redis.call("HSET", worker_key(queue, args.worker), "drained_life", life)
    note_worker_change(queue, args.worker)
  end
  return 1
end)
