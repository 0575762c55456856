-- How functions are called: many together, on records that are read once and written once.

-- An array of names and values in turn, from `first` to `last`, as a table.
local function named(args, first, last)
  local values = {}
  for i = first, last, 2 do
    values[args[i]] = args[i + 1]
  end
  return values
end

-- What the functions of this library do, by their names: those that only read, and the others.
local readers, writers = {}, {}

local function register(name, body)
  writers[name] = body
end

local function register_reader(name, body)
  readers[name] = body
end

-- Runs calls one after another on the same records; in `args`, from `first` on, each is its name,
-- how many parts its arguments have, and these. One that is refused has written nothing.
local function run_calls(bodies, queue, args, first)
  local answers = {}
  while args[first] do
    local last = first + 1 + args[first + 1]
    local is_done, answer = pcall(bodies[args[first]], queue, named(args, first + 2, last))
    if not is_done then
      answer = { err = type(answer) == "table" and answer.err or "ERR " .. tostring(answer) }
    end
    answers[#answers + 1] = answer or false
    first = last + 1
  end
  return answers
end

redis.register_function(LIBRARY .. "_write", function(keys, args)
  begin_batch()
  local queue, run = keys[1], record_at(keys[1]).values.run
  if run ~= current_run() or run ~= args[1] then
    refuse("OTHER_RUN", current_run())
  end
  start_ticks(queue)
  return end_writes(queue, run_calls(writers, queue, args, 2))
end)

redis.register_function({
  function_name = LIBRARY .. "_read",
  callback = function(keys, args)
    begin_batch()
    return run_calls(readers, keys[1], args, 1)
  end,
  flags = { "no-writes" },
})
