-- What tenants pay: credits are reserved when a video is submitted and settled when it ends, both
-- inside that very transition. Amounts are whole micro-credits, which doubles hold exactly.

local LEDGER_KEPT = 100000
local DAY_MICROS = 86400 * MICROS

local function account_of(queue, tenant)
  return record_at(queue .. ":account:" .. tenant)
end

local function day_of(micros)
  return math.floor(micros / DAY_MICROS)
end

-- Months since January 1970. Counted in years that begin in March, so that the leap day is the
-- last one (Howard Hinnant, chrono-compatible low-level date algorithms).
local function month_of(micros)
  local days = day_of(micros) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524)
    - math.floor(day / 146096)) / 365)
  local day_of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  return (era * 400 + year - 1970) * 12 + math.floor((5 * day_of_year + 2) / 153) + 2
end

local PERIODS = { day = day_of, month = month_of }

-- What the videos submitted in the period of that time cost a tenant, reserved or charged.
local function used_in(account, period, micros)
  if number(account, period) ~= PERIODS[period](micros) then
    return 0
  end
  return number(account, period .. "_used")
end

-- Refuses where a limit that the caller named would be passed.
local function require_room(name, limit, used, amount)
  if limit and used + amount > tonumber(limit) then
    refuse("QUOTA_EXCEEDED", table.concat({ name, limit, whole(used), whole(amount),
      whole(clock_micros()) }, " "))
  end
end

local function check_quota(queue, args, num_videos)
  local account, price = account_of(queue, args.tenant), num_videos * tonumber(args.price)
  local now = clock_micros()
  require_room("max_open_videos", args.max_open_videos, number(account, "num_open"),
    num_videos)
  require_room("max_stored_bytes", args.max_stored_bytes, number(account, "stored_bytes"), 1)
  require_room("daily_microcredits", args.daily_microcredits, used_in(account, "day", now), price)
  require_room("monthly_microcredits", args.monthly_microcredits, used_in(account, "month", now),
    price)
end

local function log_entry(queue, account, video, kind, amount)
  redis.call("XADD", queue .. ":ledger:" .. video.values.tenant, "MAXLEN", "~", LEDGER_KEPT,
    next_event_id(), "kind", kind, "video", video.values.video, "amount", amount,
    "reserved", number(account, "reserved"), "spent", number(account, "spent"))
end

local function use_in_period(account, period, micros, amount)
  put(account, period .. "_used", used_in(account, period, micros) + amount)
  put(account, period, PERIODS[period](micros))
end

-- A video counts as open, and its price as reserved, from its submission to its end.
local function reserve(queue, video, price)
  local account = account_of(queue, video.values.tenant)
  put(video, "reserved", price)
  add(account, "num_open", 1)
  if price > 0 then
    local create_time = number(video, "create_time")
    use_in_period(account, "day", create_time, price)
    use_in_period(account, "month", create_time, price)
    add(account, "reserved", price)
    log_entry(queue, account, video, "RESERVE", price)
  end
end

-- What a video that has ended costs: all of its price where it succeeded, nothing where it failed,
-- the share of its steps that were done where it was cancelled.
local function charge_of_end(video, price)
  if video.values.state == "SUCCEEDED" then
    return price
  elseif video.values.state == "FAILED" then
    return 0
  end
  local num_steps = math.max(1, number(video, "num_inference_steps"))
  return math.floor(price * math.min(number(video, "step_index"), num_steps) / num_steps)
end

local function give_back_in_period(account, period, micros, amount)
  if number(account, period) == PERIODS[period](micros) then
    add(account, period .. "_used", -amount)
  end
end

local function pay(queue, account, video, charge, refund)
  add(account, "reserved", -charge)
  add(account, "spent", charge)
  if charge > 0 then
    log_entry(queue, account, video, "SETTLE", charge)
  end
  add(account, "reserved", -refund)
  if refund > 0 then
    log_entry(queue, account, video, "REFUND", refund)
    give_back_in_period(account, "day", number(video, "create_time"), refund)
    give_back_in_period(account, "month", number(video, "create_time"), refund)
  end
end

-- Settles a video that has just ended, once: what is no longer reserved is settled. One from
-- before there were prices has nothing reserved.
local function settle_end(queue, video)
  if not video.values.reserved then
    return
  end
  local account, price = account_of(queue, video.values.tenant), number(video, "reserved")
  local charge = charge_of_end(video, price)
  drop(video, "reserved")
  put(video, "paid", charge)
  add(account, "num_open", -1)
  if price > 0 then
    pay(queue, account, video, charge, price - charge)
  end
end

-- Counts a video's files among what its tenant has stored; a negative change takes them out.
local function count_stored(queue, video, change)
  if change ~= 0 then
    add(account_of(queue, video.values.tenant), "stored_bytes", change)
    add(video, "stored_bytes", change)
  end
end
