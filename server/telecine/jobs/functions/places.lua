-- Where a video stands: how many will be claimed before it, and when its turn will come.

local FLOWS_COUNTED = 16
local EQUAL = 1e-9
local FIRST_SLICE_STEPS = 10 -- of a slice, until one was claimed

-- The sequence of a video that is newer than all that wait.
local NEWEST = 2 ^ 53

-- How many videos of a flow wait in a pool, what one costs on average in step units, and how far
-- apart their start tags are, at a rate of GPU seconds a step unit.
local function waiting_of(queue, flow_name, pool, rate)
  local num_waiting, units, weight = fields_at(flow_key(queue, flow_name),
    "num_waiting:" .. pool, "waiting_units:" .. pool, "weight")
  num_waiting = tonumber(num_waiting or 0)
  units = tonumber(units or 0) / math.max(1, num_waiting)
  return num_waiting, units, math.max(1e-9, rate * units / tonumber(weight))
end

local function is_older(queue, flow_name, pool, rank, sequence)
  if sequence == NEWEST then
    return true
  end
  local video = redis.call("ZRANGE", waiting_key(queue, flow_name, pool), rank, rank, "WITHSCORES")
  return tonumber(video[2]) < sequence
end

-- How many videos of a flow have start tags before that of `video`.
local function num_before(queue, flow_name, start, video)
  local num_waiting, units, spacing = waiting_of(queue, flow_name, video.pool, video.rate)
  local steps = (video.tag - start) / spacing
  local num = math.max(0, math.ceil(steps - EQUAL))
  if num < num_waiting and math.abs(steps - num) <= EQUAL -- equal tags go by age
    and is_older(queue, flow_name, video.pool, num, video.sequence) then
    num = num + 1
  end
  num = math.min(num_waiting, num)
  return num, num * units
end

-- Videos, and step units, of other flows whose turn comes before that of `video`, a pool, a
-- rate, a tag and a sequence. At most 16 flows are looked at, and the rest taken to be like
-- them: this runs in every submit.
local function ahead_in(queue, is_of_realtime, flow, video)
  local heads = heads_key(queue, video.pool, is_of_realtime)
  local others = redis.call("ZRANGE", heads, "-inf", video.tag, "BYSCORE", "LIMIT", 0,
    FLOWS_COUNTED + 1, "WITHSCORES")
  local num_ahead, units_ahead, num_others = 0, 0, 0
  for i = 1, #others, 2 do
    local other = flow_of_head(others[i])
    if other ~= flow.values.flow and num_others < FLOWS_COUNTED then
      local num, units = num_before(queue, other, tonumber(others[i + 1]), video)
      num_ahead, units_ahead, num_others = num_ahead + num, units_ahead + units, num_others + 1
    end
  end
  if num_others == FLOWS_COUNTED then
    local num_own = is_of_realtime == is_realtime(flow) and 1 or 0
    local share = (redis.call("ZCOUNT", heads, "-inf", video.tag) - num_own) / num_others
    return math.floor(num_ahead * share), units_ahead * share
  end
  return num_ahead, units_ahead
end

-- When a worker will be free for it, in microseconds; nil while none that is alive serves it.
local function estimated_start(queue, video, units_ahead, now)
  local model = video.values.model
  local alive = queue .. ":alive:" .. model
  local num_workers = redis.call("ZCOUNT", alive, now, "+inf")
  if num_workers == 0 then
    return nil
  end
  local units = units_ahead + number(record_at(queue), "running_units:" .. video.values.pool)
  return now + math.floor(rate_of(queue, model) * math.max(0, units) / num_workers * MICROS)
end

-- Videos that will be claimed before this one, if none comes and none goes. Exact within its
-- own flow; elsewhere as exact as costs are alike in each flow. `newest_rank` is that of a video
-- that is the newest of all.
local function place_of(queue, video, now, newest_rank)
  local flow, pool = flow_of(queue, video), video.values.pool
  local rank = newest_rank
    or redis.call("ZRANK", waiting_key(queue, flow.values.flow, pool), video.values.video)
  local rate = rate_of(queue, video.values.model)
  local _, units, spacing = waiting_of(queue, flow.values.flow, pool, rate)
  local own = { pool = pool, rate = rate, tag = start_tag(queue, flow, pool) + rank * spacing,
    sequence = newest_rank and NEWEST or number(video, "sequence") }
  local num_first, units_first = ahead_in(queue, true, flow, own)
  local slice_steps = tonumber(record_at(queue).values.slice_steps or FIRST_SLICE_STEPS)
  own.tag = own.tag - warp(queue, flow, video, 0, slice_steps)
  local num_then, units_then = ahead_in(queue, false, flow, own)
  local units_ahead = rank * units + units_first + units_then
  return {
    position = rank + num_first + num_then,
    start = estimated_start(queue, video, units_ahead, now),
  }
end

-- A record as Videos are made from it; of one that waits its place in the queue and when it is
-- expected to start, each -1 for none.
local function snapshot(queue, video, known_place)
  local flat = {}
  for name, value in pairs(video.values) do
    flat[#flat + 1] = name
    -- Redis would cut a number that is answered to a whole one.
    flat[#flat + 1] = type(value) == "number" and string.format("%.17g", value) or value
  end
  local place = known_place or {}
  if not known_place and video.values.state == "QUEUED" then
    place = place_of(queue, video, clock_micros())
  end
  return { flat, place.position or -1, place.start or -1 }
end
