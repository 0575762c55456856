-- What those who send webhooks call.

-- Hands out deliveries that are due; who does not finish one in time leaves it to the next.
register("claim_webhooks", function(queue, args)
  local now = clock_micros()
  local due = redis.call("ZRANGE", webhooks_key(queue), "-inf", now, "BYSCORE", "LIMIT", 0,
    args.max_webhooks)
  local claimed = {}
  for _, id in ipairs(due) do
    redis.call("ZADD", webhooks_key(queue), now + tonumber(args.hold_seconds) * MICROS, id)
    redis.call("HINCRBY", webhook_key(queue, id), "num_tries", 1)
    table.insert(claimed, redis.call("HGETALL", webhook_key(queue, id)))
  end
  return claimed
end)

register("finish_webhook", function(queue, args)
  redis.call("ZREM", webhooks_key(queue), args.video)
  redis.call("DEL", webhook_key(queue, args.video))
end)

-- A delivery that was claimed and not tried does not use up a try.
register("retry_webhook", function(queue, args)
  if args.was_tried == "0" and redis.call("ZSCORE", webhooks_key(queue), args.video) then
    redis.call("HINCRBY", webhook_key(queue, args.video), "num_tries", -1)
  end
  redis.call("ZADD", webhooks_key(queue), "XX",
    clock_micros() + math.floor(tonumber(args.wait_seconds) * MICROS), args.video)
end)
