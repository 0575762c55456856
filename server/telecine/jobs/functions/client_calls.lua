-- What the gateway calls.

-- The video that this very request made before, nil for none: known by its request id, else by
-- the id that its caller drew for it.
local function find_repeat(queue, args)
  if args.request_id == "" then
    local video = video_record(queue, args.video)
    return video.values.state and video
  end
  local request = record_at(request_key(queue, args.tenant, args.request_id))
  if not request.values.video then
    return nil
  end
  if request.values.fingerprint ~= args.fingerprint then
    refuse("ALREADY_EXISTS", args.request_id)
  end
  return video_record(queue, request.values.video)
end

-- The video that a call is about; as if it were not there, where it is not its caller's.
local function asked_video(queue, args)
  local video = video_record(queue, args.video)
  if args.tenant ~= "" and video.values.tenant ~= args.tenant then
    return { values = {} }
  end
  return video
end

-- The states of a video must rise in time, and pages of a listing need one order.
local function next_create_time(queue)
  local counters = record_at(queue)
  local now = math.max(clock_micros(), number(counters, "last_create_time") + 1)
  put(counters, "last_create_time", now)
  return now
end

local function new_video(queue, args, create_time)
  local video = new_record(video_key(queue, args.video), {
    video = args.video, tenant = args.tenant, flow = args.flow, weight = args.weight,
    model = args.model, pool = args.pool, request_id = args.request_id,
    submitted = args.submitted, num_inference_steps = args.num_inference_steps,
    step_units = args.step_units, attempt = "0", step_index = "0",
    is_realtime = args.is_realtime == "1" and "1" or nil,
    webhook_url = args.webhook_url ~= "" and args.webhook_url or nil,
    sequence = add(record_at(queue), "last_sequence", 1), create_time = create_time,
  })
  if args.start_within_seconds ~= "" then
    put(video, "start_deadline",
      create_time + math.floor(tonumber(args.start_within_seconds) * MICROS))
  end
  return video
end

-- Refuses what a tenant has no room for; returns the buckets that each video takes its price from.
local function check_room(queue, args, num_videos)
  check_queue_limits(queue, args, num_videos)
  check_quota(queue, args, num_videos)
  return check_rate(queue, args, num_videos)
end

-- Queues a video that there is room for. Its snapshot leaves out what the caller knows. Nobody can
-- watch a video before the call has answered: those alone are told who watch all of its tenant.
local function queue_new(queue, args, buckets)
  local create_time = next_create_time(queue)
  if args.request_id ~= "" then
    put_all(record_at(request_key(queue, args.tenant, args.request_id)),
      { video = args.video, fingerprint = args.fingerprint })
  end
  local video = new_video(queue, args, create_time)
  redis.call("ZADD", index_key(queue, args.tenant), create_time, args.video)
  move(queue, video, "submit")
  enqueue(queue, video)
  put(flow_of(queue, video), "weight", args.weight)
  watch_deadline(queue, video)
  reserve(queue, video, tonumber(args.price))
  take_from(buckets, tonumber(args.price), clock_micros())
  local rank = number(flow_of(queue, video), "num_waiting:" .. args.pool) - 1
  local place = place_of(queue, video, create_time, rank)
  log_event(queue, video, args.queued_event, place.position)
  if redis.call("EXISTS", watched_key(queue, args.tenant)) == 1 then
    notify_watchers(queue, video)
  end
  local unknown = { "video", args.video, "create_time", string.format("%.0f", create_time) }
  return { unknown, place.position, place.start or -1 }
end

-- Answers snapshots of as many videos as are asked for, all or none of them: what differs between
-- them is numbered. Those that an earlier call has made stay as they are.
register("submit", function(queue, args)
  local singles, known, num_new = {}, {}, 0
  for index = 1, tonumber(args.num_videos) do
    local own = { video = args["video:" .. index], request_id = args["request_id:" .. index],
      submitted = args["submitted:" .. index] }
    singles[index] = setmetatable(own, { __index = args })
    known[index] = find_repeat(queue, singles[index])
    num_new = num_new + (known[index] and 0 or 1)
  end
  local buckets = num_new > 0 and check_room(queue, args, num_new)
  local snapshots = {}
  for index, single in ipairs(singles) do
    snapshots[index] = known[index] and snapshot(queue, known[index])
      or queue_new(queue, single, buckets)
  end
  return snapshots
end)

-- The video that a request id made before, with its caller's fingerprint; false for none.
register_reader("find_repeat", function(queue, args)
  local known = find_repeat(queue, args)
  return known and snapshot(queue, known)
end)

register_reader("get", function(queue, args)
  return snapshot(queue, asked_video(queue, args))
end)

-- Snapshots of several videos, those that are gone left out.
register_reader("get_many", function(queue, args)
  local snapshots = {}
  for id in string.gmatch(args.videos, "[^,]+") do
    local video = video_record(queue, id)
    if video.values.state then
      table.insert(snapshots, snapshot(queue, video))
    end
  end
  return snapshots
end)

-- Ends a video that no worker holds; asks the worker that holds a running one to end it.
register("cancel", function(queue, args)
  local video = asked_video(queue, args)
  local state = video.values.state
  if state == "QUEUED" then
    end_waiting(queue, video, "cancel", { event = args.cancelled_event })
  elseif state == "PAUSED" then
    move(queue, video, "cancel")
    settle_end(queue, video)
    put(video, "end_time", clock_micros())
    append_event(queue, video, args.cancelled_event)
  elseif state == "RUNNING" then
    put(video, "is_cancel_requested", 1)
  end
  return snapshot(queue, video)
end)

register("delete", function(queue, args)
  local video = asked_video(queue, args)
  local values = video.values
  if not values.state then
    return { {}, -1, -1 }
  end
  local last = snapshot(queue, video)
  move(queue, video, "delete")
  count_stored(queue, video, -number(video, "stored_bytes"))
  redis.call("ZREM", index_key(queue, values.tenant), args.video)
  redis.call("DEL", queue .. ":events:" .. args.video)
  if values.request_id ~= "" then
    remove_record(record_at(request_key(queue, values.tenant, values.request_id)))
  end
  notify_watchers(queue, video)
  remove_record(video)
  return last
end)

-- Hands out videos that ended so long ago; who does not delete one in time leaves it to the next.
register("claim_expired_videos", function(queue, args)
  local last = clock_micros() - tonumber(args.kept_seconds) * MICROS
  local due = redis.call("ZRANGE", endings_key(queue), "-inf", last, "BYSCORE", "LIMIT", 0,
    args.max_videos)
  for _, id in ipairs(due) do
    redis.call("ZADD", endings_key(queue), last + tonumber(args.hold_seconds) * MICROS, id)
  end
  return due
end)

-- Logs the places of waiting videos that are watched, where they have changed.
register("announce_positions", function(queue, args)
  local now = clock_micros()
  for id in string.gmatch(args.videos, "[^,]+") do
    local video = video_record(queue, id)
    if video.values.state == "QUEUED" then
      local position = place_of(queue, video, now).position
      if position ~= number(video, "logged_position") then
        append_event(queue, video, args.moved_event, position)
      end
    end
  end
end)
