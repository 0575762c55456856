-- How a process finds its place after a restart of the store, and what is done where the store
-- has lost writes that were answered.

local RUNS_KEPT = 64
-- Tokens of a new run begin this far ahead, and by as much again at most: those of a run whose
-- very beginning was lost are not met again, even by a clock that went back.
local TOKENS_SKIPPED = 2 ^ 31

-- The runs that there were, newest first, each with the tick of the last write that it found.
local function runs_key(queue)
  return queue .. ":runs"
end

-- Event ids of one run end in a number of its own, so that only those of a later millisecond are
-- sure to lie behind those of another run.
local function begin_millisecond(after)
  tick = math.ceil((math.max(tick, after) + 1) / TICKS_OF_A_MILLISECOND) * TICKS_OF_A_MILLISECOND
end

local function enter_run(queue)
  local record = record_at(queue)
  start_ticks(queue)
  if record.values.run == current_run() then
    return
  end
  redis.call("LPUSH", runs_key(queue), current_run() .. " " .. (record.values.tick or "0"))
  redis.call("LTRIM", runs_key(queue), 0, RUNS_KEPT - 1)
  begin_millisecond(tick)
  put(record, "run", current_run())
  put(record, "last_token",
    math.max(tick, number(record, "last_token")) + TOKENS_SKIPPED + number_of_run(31))
end

-- How many ticks are missing between what a caller saw in `run` and what the run after it found.
local function ticks_missing(queue, run, seen)
  local found
  for _, line in ipairs(redis.call("LRANGE", runs_key(queue), 0, -1)) do
    local name, base = string.match(line, "(%S+) (%S+)")
    if name == run then
      return found and math.max(0, seen - found) or 0
    end
    found = tonumber(base)
  end
  -- Either it is too long ago to be listed, or its own beginning was lost.
  return math.max(0, seen - found)
end

-- Raises all that must never be given out twice past what a caller has seen of it.
local function raise_past(queue, seen_tick, seen_token)
  local record = record_at(queue)
  begin_millisecond(seen_tick)
  put(record, "last_token", math.max(number(record, "last_token"), seen_token, tick))
  put(record, "last_create_time", math.max(number(record, "last_create_time"), tick))
end

-- Says in which run a process works from now on, and whether the store lost writes that it saw:
-- then a new epoch begins, one for each run at most.
redis.register_function(LIBRARY .. "_join_run", function(keys, args)
  begin_batch()
  local queue, seen = keys[1], named(args, 1, #args)
  local record = record_at(queue)
  enter_run(queue)
  local missing = seen.run == "" and 0 or ticks_missing(queue, seen.run, tonumber(seen.tick))
  if missing > 0 then
    raise_past(queue, tonumber(seen.tick), tonumber(seen.token))
    if record.values.epoch_run ~= current_run() then
      add(record, "epoch", 1)
      put(record, "epoch_run", current_run())
    end
  end
  local announced = record.values.announced_epoch or "0"
  return end_writes(queue,
    { current_run(), record.values.epoch or "0", announced, whole(missing) })
end)

-- Tells those of some videos that are not over that the store was restored, each once an epoch.
register("announce_restored", function(queue, args)
  for id in string.gmatch(args.videos, "[^,]+") do
    local video = video_record(queue, id)
    local state = video.values.state
    if state and not TRANSITIONS[state].delete and video.values.told_epoch ~= args.epoch then
      put(video, "told_epoch", args.epoch)
      append_event(queue, video, args.event)
    end
  end
  if args.is_last == "1" then
    put(record_at(queue), "announced_epoch", args.epoch)
  end
end)
