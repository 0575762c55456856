-- Records of videos, and the parts that every function shares.
-- Above this file stand LIBRARY, CLOCK_KEY and TRANSITIONS, written by function_library.py.
-- All keys begin with the queue's key, which carries the hash tag of its shard.

local MICROS = 1000000

local function video_key(queue, id)
  return queue .. ":video:" .. id
end

local function request_key(queue, tenant, request_id)
  return queue .. ":request:" .. tenant .. ":" .. request_id
end

local function index_key(queue, tenant)
  return queue .. ":index:" .. tenant
end

-- Ends the call with an error that starts with `code`; only ever before the first write.
local function refuse(code, detail)
  error({ err = code .. " " .. detail })
end

local function clock_micros()
  if CLOCK_KEY then
    return tonumber(redis.call("GET", CLOCK_KEY))
  end
  local time = redis.call("TIME")
  return tonumber(time[1]) * MICROS + tonumber(time[2])
end

-- Reads some fields of a record into a table; absent ones are nil.
local function read(queue, id, ...)
  local names = { ... }
  local values = redis.call("HMGET", video_key(queue, id), unpack(names))
  local record = {}
  for i, name in ipairs(names) do
    record[name] = values[i] or nil
  end
  return record
end

local function queue_number(queue, field)
  return tonumber(redis.call("HGET", queue, field) or 0)
end

-- Puts a video into the state that TRANSITIONS names, and counts it there.
local function move(queue, id, state, trigger)
  local target = (TRANSITIONS[state] or {})[trigger]
  if not target then
    refuse("WRONG_STATE", state)
  end
  if state ~= "ABSENT" then
    redis.call("HINCRBY", queue, "num_" .. state, -1)
  end
  if target ~= "ABSENT" then
    redis.call("HINCRBY", queue, "num_" .. target, 1)
    redis.call("HSET", video_key(queue, id), "state", target)
  end
  return target
end

-- Adds the time since the stage was entered to what the video spent in it, and leaves it.
local function leave_stage(queue, id, now)
  local record = read(queue, id, "stage", "stage_time")
  if record.stage then
    local spent = math.max(0, now - tonumber(record.stage_time))
    redis.call("HINCRBY", video_key(queue, id), "timing:" .. record.stage, spent)
    redis.call("HDEL", video_key(queue, id), "stage", "stage_time")
  end
end

-- FCALL's arguments are names and values in turn.
local function named(args)
  local values = {}
  for i = 1, #args, 2 do
    values[args[i]] = args[i + 1]
  end
  return values
end

local function register(name, body, flags)
  redis.register_function({
    function_name = LIBRARY .. "_" .. name,
    callback = function(keys, args)
      return body(keys[1], named(args))
    end,
    flags = flags,
  })
end
