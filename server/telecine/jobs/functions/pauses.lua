-- Pauses that a video's owner asks for; a worker that holds it obeys at the end of its slice.

register("pause", function(queue, args)
  local video = asked_video(queue, args)
  local state = video.values.state
  if state == "QUEUED" then
    dequeue(queue, video)
    ignore_deadline(queue, video)
    move(queue, video, "pause")
    append_event(queue, video, args.paused_event)
    forget_past_when_idle(queue)
  elseif state == "RUNNING" then
    put(video, "is_pause_requested", 1)
  elseif state and state ~= "PAUSED" then
    refuse("WRONG_STATE", state)
  end
  return snapshot(queue, video)
end)

-- Queues a paused video at its old place; takes back a pause that has not happened yet.
register("resume", function(queue, args)
  local video = asked_video(queue, args)
  local state = video.values.state
  if state == "PAUSED" then
    move(queue, video, "resume")
    enqueue(queue, video)
    if not video.values.start_time then
      watch_deadline(queue, video)
    end
    append_event(queue, video, args.queued_event, place_of(queue, video, clock_micros()).position)
  elseif state == "RUNNING" then
    drop(video, "is_pause_requested")
  elseif state and state ~= "QUEUED" then
    refuse("WRONG_STATE", state)
  end
  return snapshot(queue, video)
end)
