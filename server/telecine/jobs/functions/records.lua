-- Records of videos, and the parts that every function shares.
-- Above this file stand LIBRARY, CLOCK_KEY and TRANSITIONS, written by function_library.py.
-- All keys begin with the queue's key, which carries the hash tag of its shard.

local MICROS = 1000000
local IDLE_SECONDS = 86400

local ENDED = { SUCCEEDED = true, FAILED = true, CANCELLED = true }

local function video_key(queue, id)
  return queue .. ":video:" .. id
end

local function request_key(queue, tenant, request_id)
  return queue .. ":request:" .. tenant .. ":" .. request_id
end

local function index_key(queue, tenant)
  return queue .. ":index:" .. tenant
end

-- The videos that have ended, by when.
local function endings_key(queue)
  return queue .. ":endings"
end

-- Lives while somebody watches all videos of a tenant.
local function watched_key(queue, tenant)
  return queue .. ":watched:" .. tenant
end

-- Ends the call with an error that starts with `code`; only ever before the first write.
local function refuse(code, detail)
  error({ err = code .. " " .. detail })
end

-- The hashes that the calls of a batch have read, by key: each is read once, and written once
-- when the batch ends. A value is a string, as Redis has it, or a number that was put there; what
-- is compared with an argument must be put as a string.
local records = {}
local now_micros -- a batch happens at one time

local function begin_batch()
  records = {}
  now_micros = nil
end

local function clock_micros()
  if not now_micros then
    if CLOCK_KEY then
      now_micros = tonumber(redis.call("GET", CLOCK_KEY))
    else
      local time = redis.call("TIME")
      now_micros = tonumber(time[1]) * MICROS + tonumber(time[2])
    end
  end
  return now_micros
end

local function record_at(key)
  local record = records[key]
  if not record then
    record = { key = key, values = {}, changed = {} }
    local flat = redis.call("HGETALL", key)
    for i = 1, #flat, 2 do
      record.values[flat[i]] = flat[i + 1]
    end
    records[key] = record
  end
  return record
end

local function number(record, name)
  return tonumber(record.values[name] or 0)
end

-- Some fields of a hash, in their order: from its record where this batch has read it.
local function fields_at(key, ...)
  local record = records[key]
  if not record then
    return unpack(redis.call("HMGET", key, ...))
  end
  local values = {}
  for i, name in ipairs({ ... }) do
    values[i] = record.values[name] or false
  end
  return unpack(values)
end

-- Sets a field; nil removes it.
local function put(record, name, value)
  if record.values[name] ~= value then
    record.values[name] = value
    record.changed[name] = true
  end
end

local function put_all(record, values)
  for name, value in pairs(values) do
    put(record, name, value)
  end
end

local function add(record, name, amount)
  local sum = number(record, name) + amount
  put(record, name, sum)
  return sum
end

local function drop(record, ...)
  for _, name in ipairs({ ... }) do
    put(record, name, nil)
  end
end

local function remove_record(record)
  redis.call("DEL", record.key)
  record.values, record.changed, record.is_new = {}, {}, false
end

-- A record that nothing uses is forgotten after a day.
local function keep_while(record, is_used)
  local is_idle = not is_used and "1" or nil
  if record.values.is_idle ~= is_idle then
    put(record, "is_idle", is_idle)
    record.expiry = is_idle and { "EXPIRE", record.key, IDLE_SECONDS } or { "PERSIST", record.key }
  end
end

-- The record of a hash that is not there yet.
local function new_record(key, values)
  records[key] = { key = key, values = values, changed = {}, is_new = true }
  return records[key]
end

local function write_record(record)
  local set, num_set, removed = {}, 0, {}
  for name in pairs(record.is_new and record.values or record.changed) do
    local value = record.values[name]
    if value then
      set[num_set + 1], set[num_set + 2] = name, value
      num_set = num_set + 2
    else
      removed[#removed + 1] = name
    end
  end
  if num_set > 0 then
    redis.call("HSET", record.key, unpack(set, 1, num_set))
  end
  if removed[1] then
    redis.call("HDEL", record.key, unpack(removed))
  end
  if record.expiry then
    redis.call(unpack(record.expiry))
  end
end

local function video_record(queue, id)
  return record_at(video_key(queue, id))
end

local function tenant_record(queue, tenant)
  return record_at(queue .. ":tenant:" .. tenant)
end

local function tenant_of(queue, video)
  video.tenant = video.tenant or tenant_record(queue, video.values.tenant)
  return video.tenant
end

-- Counts a video in or out of a state, for the queue and for its tenant.
local function count(queue, video, state, change)
  if state == "ABSENT" then
    return
  end
  add(record_at(queue), "num_" .. state, change)
  if state == "QUEUED" or state == "RUNNING" then
    local tenant = tenant_of(queue, video)
    add(tenant, "num_" .. state, change)
    keep_while(tenant, number(tenant, "num_QUEUED") + number(tenant, "num_RUNNING") > 0)
  end
end

local queue_webhook  -- of webhooks.lua

-- Puts a video into the state that TRANSITIONS names, and counts it there.
local function move(queue, video, trigger)
  local source = video.values.state or "ABSENT"
  local target = (TRANSITIONS[source] or {})[trigger]
  if not target then
    refuse("WRONG_STATE", source)
  end
  count(queue, video, source, -1)
  count(queue, video, target, 1)
  put(video, "state", target)
  if ENDED[target] then
    redis.call("ZADD", endings_key(queue), clock_micros(), video.values.video)
  elseif target == "ABSENT" then
    redis.call("ZREM", endings_key(queue), video.values.video)
  end
  queue_webhook(queue, video, target)
  return target
end

-- Adds the time since the stage was entered to what the video spent in it, and leaves it.
local function leave_stage(video, now)
  local stage = video.values.stage
  if stage then
    add(video, "timing:" .. stage, math.max(0, now - number(video, "stage_time")))
    drop(video, "stage", "stage_time")
  end
end
