-- What a slice costs in GPU seconds: rate of the model x step units of the video x steps.
-- The rate is learnt from finished slices.

local FIRST_RATE = 0.04 -- GPU seconds a step unit, until a slice has been seen
local LEAST_RATE = 1e-6 -- a slice that cost nothing would let its flow pass all others for ever
local NEWEST_SHARE = 0.2

local function rate_of(queue, model)
  return tonumber(record_at(queue).values["rate:" .. model] or FIRST_RATE)
end

local function learn_rate(queue, video, num_steps, gpu_seconds)
  local units = number(video, "step_units") * num_steps
  if units <= 0 or gpu_seconds <= 0 then
    return
  end
  local observed = gpu_seconds / units
  local name = "rate:" .. video.values.model
  local known = tonumber(record_at(queue).values[name] or observed)
  put(record_at(queue), name, math.max(LEAST_RATE, known + NEWEST_SHARE * (observed - known)))
end

local function steps_left(video, step_index)
  return math.max(0, number(video, "num_inference_steps") - step_index)
end

-- What the video's steps after `step_index` cost, in step units.
local function units_left(video, step_index)
  return number(video, "step_units") * steps_left(video, step_index)
end

local function slice_cost(queue, video, step_index, slice_steps)
  local num_steps = math.min(slice_steps, steps_left(video, step_index))
  return rate_of(queue, video.values.model) * number(video, "step_units") * num_steps
end
