-- What the gateway calls.

-- A record as Videos are made from it, with its place in the queue, -1 for none.
local function snapshot(queue, id, known_position)
  local position = known_position or -1
  if not known_position and read(queue, id, "state").state == "QUEUED" then
    position = queue_position(queue, id)
  end
  return { redis.call("HGETALL", video_key(queue, id)), position }
end

-- The states of a video must rise in time, and pages of a listing need one order.
local function next_create_time(queue)
  local now = math.max(clock_micros(), queue_number(queue, "last_create_time") + 1)
  redis.call("HSET", queue, "last_create_time", now)
  return now
end

-- The video that this very request made before, nil for none.
local function find_repeat(queue, args)
  if redis.call("EXISTS", video_key(queue, args.video)) == 1 then
    return args.video
  end
  if args.request_id == "" then
    return nil
  end
  local request = request_key(queue, args.tenant, args.request_id)
  local known = redis.call("HMGET", request, "video", "fingerprint")
  if known[1] and known[2] ~= args.fingerprint then
    refuse("ALREADY_EXISTS", args.request_id)
  end
  return known[1] or nil
end

register("submit", function(queue, args)
  local known = find_repeat(queue, args)
  if known then
    return snapshot(queue, known)
  end
  if queue_number(queue, "num_QUEUED") >= tonumber(args.max_queued) then
    refuse("QUEUE_FULL", args.max_queued)
  end
  local id = args.video
  local create_time = next_create_time(queue)
  if args.request_id ~= "" then
    redis.call("HSET", request_key(queue, args.tenant, args.request_id),
      "video", id, "fingerprint", args.fingerprint)
  end
  redis.call("HSET", video_key(queue, id),
    "video", id, "tenant", args.tenant, "flow", args.flow, "model", args.model,
    "request_id", args.request_id, "submitted", args.submitted,
    "num_inference_steps", args.num_inference_steps, "cost_seconds", args.cost_seconds,
    "sequence", redis.call("HINCRBY", queue, "last_sequence", 1),
    "create_time", create_time, "attempt", 0, "step_index", 0)
  redis.call("ZADD", index_key(queue, args.tenant), create_time, id)
  redis.call("HSET", flow_key(queue, args.flow), "weight", args.weight)
  move(queue, id, "ABSENT", "submit")
  enqueue(queue, id)
  local position = queue_position(queue, id)
  append_event(queue, id, args.queued_event, position)
  return snapshot(queue, id, position)
end)

register("get", function(queue, args)
  return snapshot(queue, args.video)
end, { "no-writes" })

-- Snapshots of several videos, those that are gone left out.
register("get_many", function(queue, args)
  local snapshots = {}
  for id in string.gmatch(args.videos, "[^,]+") do
    if redis.call("EXISTS", video_key(queue, id)) == 1 then
      table.insert(snapshots, snapshot(queue, id))
    end
  end
  return snapshots
end, { "no-writes" })

-- Ends a waiting video; asks the worker that holds a running one to end it.
register("cancel", function(queue, args)
  local id = args.video
  local state = read(queue, id, "state").state
  if state == "QUEUED" then
    dequeue(queue, id)
    move(queue, id, state, "cancel")
    redis.call("HSET", video_key(queue, id), "end_time", clock_micros())
    append_event(queue, id, args.cancelled_event)
    forget_past_when_idle(queue)
  elseif state == "RUNNING" then
    redis.call("HSET", video_key(queue, id), "is_cancel_requested", 1)
  end
  return snapshot(queue, id)
end)

register("delete", function(queue, args)
  local id = args.video
  local record = read(queue, id, "state", "tenant", "request_id")
  if not record.state then
    return { {}, -1 }
  end
  local last = snapshot(queue, id)
  move(queue, id, record.state, "delete")
  redis.call("DEL", video_key(queue, id), queue .. ":events:" .. id)
  redis.call("ZREM", index_key(queue, record.tenant), id)
  if record.request_id ~= "" then
    redis.call("DEL", request_key(queue, record.tenant, record.request_id))
  end
  notify_watchers(queue, id)
  return last
end)

-- Logs the places of waiting videos that are watched, where they have changed.
register("announce_positions", function(queue, args)
  for id in string.gmatch(args.videos, "[^,]+") do
    local record = read(queue, id, "state", "logged_position")
    if record.state == "QUEUED" then
      local position = queue_position(queue, id)
      if position ~= tonumber(record.logged_position) then
        append_event(queue, id, args.moved_event, position)
      end
    end
  end
end)
