-- How fast a tenant or a key may go: the generic cell rate algorithm (ITU-T I.371). A bucket is one
-- time: when all that was taken from it will have flowed back.

local FULL_KEPT_MILLIS = 60000 -- a full bucket is the same as none

-- Buckets come as lines: a name, the microseconds until a unit flows back, the units it holds.
local function buckets_of(queue, list, now)
  local buckets = {}
  for name, interval, burst in string.gmatch(list or "", "(%S+) (%S+) (%S+)\n") do
    local key = queue .. ":rate:" .. name
    buckets[#buckets + 1] = { key = key, interval = tonumber(interval), burst = tonumber(burst),
      full_time = math.max(now, tonumber(redis.call("GET", key) or 0)) }
  end
  return buckets
end

-- When a bucket can give `cost` units. A full one also gives more than it holds, and owes the rest.
local function ready_time(bucket, cost)
  return bucket.full_time + (math.min(cost, bucket.burst) - bucket.burst) * bucket.interval
end

-- The bucket that is last to give `cost` units, and how long that takes.
local function slowest(buckets, cost, now)
  local last = buckets[1]
  for _, bucket in ipairs(buckets) do
    last = ready_time(bucket, cost) > ready_time(last, cost) and bucket or last
  end
  return last, math.max(0, math.ceil(ready_time(last, cost) - now))
end

local function take_from(buckets, cost, now)
  for _, bucket in ipairs(buckets) do
    bucket.full_time = bucket.full_time + cost * bucket.interval
    redis.call("SET", bucket.key, whole(bucket.full_time), "PX",
      math.ceil((bucket.full_time - now) / 1000) + FULL_KEPT_MILLIS)
  end
end

-- Answers the time to wait, and of one bucket how much it can hold, how much it holds now, and
-- in which time it will be full. Times are in microseconds.
local function rate_state(bucket, wait, now)
  local missing = (bucket.full_time - now) / bucket.interval
  return { wait, bucket.burst, math.max(0, math.floor(bucket.burst - missing)),
    math.ceil(bucket.full_time - now) }
end

-- The buckets that submissions take their price from; refuses those that come too early.
local function check_rate(queue, args, num_videos)
  local now, price = clock_micros(), num_videos * tonumber(args.price)
  local buckets = buckets_of(queue, args.credit_buckets, now)
  if buckets[1] and price > 0 then
    local bucket, wait = slowest(buckets, price, now)
    if wait > 0 then
      refuse("RATE_LIMITED", table.concat(rate_state(bucket, wait, now), " "))
    end
  end
  return buckets
end

-- Takes `cost` units from all buckets, or from none where one has too few.
register("take_rate", function(queue, args)
  local now, cost = clock_micros(), tonumber(args.cost)
  local buckets = buckets_of(queue, args.buckets, now)
  local bucket, wait = slowest(buckets, cost, now)
  if wait == 0 then
    take_from(buckets, cost, now)
  end
  return rate_state(bucket, wait, now)
end)
