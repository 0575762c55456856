-- Start-time fair queuing (Goyal, Vin, Cheng 1997) over flows, one a tenant and tier.
-- Only the head of a flow is tagged: start = max(virtual time, the flow's last finish),
-- finish = start + cost / weight. So a cancelled job leaves no stale tag behind.
-- Heads lie in one sorted set a model, by start tag: a worker looks at its models only.

local IDLE_FLOW_SECONDS = 86400
local FLOWS_COUNTED = 64

local function flow_key(queue, flow)
  return queue .. ":flow:" .. flow
end

local function waiting_key(queue, flow)
  return queue .. ":waiting:" .. flow
end

local function heads_key(queue, model)
  return queue .. ":heads:" .. model
end

local function flow_number(queue, flow, field)
  return tonumber(redis.call("HGET", flow_key(queue, flow), field) or 0)
end

local function head_of(queue, flow)
  return redis.call("ZRANGE", waiting_key(queue, flow), 0, 0)[1]
end

-- Tags the flow's head anew: call it when the head, or the flow's last finish, has changed.
local function tag_head(queue, flow)
  local key = flow_key(queue, flow)
  local old_model = redis.call("HGET", key, "head_model")
  if old_model then
    redis.call("ZREM", heads_key(queue, old_model), flow)
  end
  local head = head_of(queue, flow)
  if not head then
    redis.call("HDEL", key, "head_model", "num_waiting", "waiting_cost")
    redis.call("EXPIRE", key, IDLE_FLOW_SECONDS)
    return
  end
  local model = read(queue, head, "model").model
  local start = math.max(queue_number(queue, "virtual_time"), flow_number(queue, flow, "finish"))
  redis.call("HSET", key, "head_model", model)
  redis.call("PERSIST", key)
  redis.call("ZADD", heads_key(queue, model), start, flow)
end

-- GPU seconds that the video still needs when `steps_kept` of its steps need not be redone.
local function cost_left(record, steps_kept)
  local num_steps = math.max(1, tonumber(record.num_inference_steps))
  return tonumber(record.cost_seconds) * (1 - math.min(num_steps, steps_kept) / num_steps)
end

local function count_waiting(queue, record, change)
  local key = flow_key(queue, record.flow)
  redis.call("HINCRBY", key, "num_waiting", change)
  redis.call("HINCRBYFLOAT", key, "waiting_cost", change * record.cost_seconds)
end

-- Puts a video into its flow; one that waited there before gets its old place again.
local function enqueue(queue, id)
  local record = read(queue, id, "flow", "cost_seconds", "sequence")
  redis.call("ZADD", waiting_key(queue, record.flow), record.sequence, id)
  count_waiting(queue, record, 1)
  if head_of(queue, record.flow) == id then
    tag_head(queue, record.flow)
  end
  redis.call("XADD", queue .. ":wake", "MAXLEN", 1, "*", "video", id)
end

-- Takes a video out of its flow.
local function dequeue(queue, id)
  local record = read(queue, id, "flow", "cost_seconds")
  local was_head = head_of(queue, record.flow) == id
  redis.call("ZREM", waiting_key(queue, record.flow), id)
  count_waiting(queue, record, -1)
  if was_head then
    tag_head(queue, record.flow)
  end
end

-- The flow with the smallest start tag among those whose head is of one of `models`.
local function next_flow(queue, models)
  local best, best_start
  for model in string.gmatch(models, "[^,]+") do
    local head = redis.call("ZRANGE", heads_key(queue, model), 0, 0, "WITHSCORES")
    local start = tonumber(head[2])
    if start and (not best or start < best_start) then
      best, best_start = head[1], start
    end
  end
  return best, best_start
end

-- Takes the head of a flow out, charges the flow for it and moves virtual time on.
local function dispatch(queue, flow, start)
  local id = head_of(queue, flow)
  local record = read(queue, id, "cost_seconds", "num_inference_steps", "checkpoint_step")
  local cost = cost_left(record, tonumber(record.checkpoint_step or 0))
  local finish = start + cost / flow_number(queue, flow, "weight")
  redis.call("HSET", flow_key(queue, flow), "finish", finish)
  redis.call("HSET", queue,
    "virtual_time", math.max(queue_number(queue, "virtual_time"), start),
    "last_finish", math.max(queue_number(queue, "last_finish"), finish))
  dequeue(queue, id)
  return id
end

-- Takes back from a flow's account what a video that stops now has not used.
local function refund(queue, id, steps_kept)
  local record = read(queue, id, "flow", "cost_seconds", "num_inference_steps")
  local weight = flow_number(queue, record.flow, "weight")
  local unused = cost_left(record, steps_kept)
  if weight > 0 and unused > 0 then
    local finish = flow_number(queue, record.flow, "finish") - unused / weight
    redis.call("HSET", flow_key(queue, record.flow), "finish", finish)
    tag_head(queue, record.flow)
  end
end

-- When nothing waits or runs, a busy period has ended: what came before it is forgotten.
local function forget_past_when_idle(queue)
  if queue_number(queue, "num_QUEUED") + queue_number(queue, "num_RUNNING") == 0 then
    local virtual_time = queue_number(queue, "virtual_time")
    local last_finish = queue_number(queue, "last_finish")
    redis.call("HSET", queue, "virtual_time", math.max(virtual_time, last_finish))
  end
end

-- How many videos wait in a flow, and how far apart their start tags are on average.
local function waiting_of(queue, flow)
  local values = redis.call("HMGET", flow_key(queue, flow), "num_waiting", "waiting_cost", "weight")
  local num_waiting = tonumber(values[1] or 0)
  local cost = tonumber(values[2] or 0) / math.max(1, num_waiting)
  return num_waiting, math.max(1e-9, cost / tonumber(values[3]))
end

-- How many videos of `other` have start tags before `tag`, one of `flow`.
local function num_before(queue, other, start, flow, tag)
  local num_waiting, spacing = waiting_of(queue, other)
  local steps = (tag - start) / spacing
  if other < flow then -- equal tags go by the flow's name
    return math.min(num_waiting, math.floor(steps + 1e-9) + 1)
  end
  return math.min(num_waiting, math.max(0, math.ceil(steps - 1e-9)))
end

-- Videos that will be claimed before this one, if none comes and none goes. Exact within its
-- own flow; elsewhere as exact as costs are alike in each flow. At most 64 other flows are
-- looked at, and the rest taken to be like them: this runs in every submit.
local function queue_position(queue, id)
  local flow = read(queue, id, "flow").flow
  local rank = redis.call("ZRANK", waiting_key(queue, flow), id)
  local heads = heads_key(queue, redis.call("HGET", flow_key(queue, flow), "head_model"))
  local start = tonumber(redis.call("ZSCORE", heads, flow))
  local _, spacing = waiting_of(queue, flow)
  local tag = start + rank * spacing
  local others = redis.call("ZRANGE", heads, "-inf", tag, "BYSCORE", "LIMIT", 0, FLOWS_COUNTED + 1,
    "WITHSCORES")
  local num_ahead, num_others = 0, 0
  for i = 1, #others, 2 do
    if others[i] ~= flow and num_others < FLOWS_COUNTED then
      local other_start = tonumber(others[i + 1])
      num_ahead = num_ahead + num_before(queue, others[i], other_start, flow, tag)
      num_others = num_others + 1
    end
  end
  if num_others == FLOWS_COUNTED then
    local num_all = redis.call("ZCOUNT", heads, "-inf", tag) - 1
    num_ahead = math.floor(num_ahead * num_all / num_others)
  end
  return rank + num_ahead
end
