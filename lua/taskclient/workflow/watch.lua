-- watch.lua: keeps an eye on many jobs of many clients with few requests.
-- One round asks for all jobs of a client that are due; watches in other
-- coroutines share it. It knows clients and jobs by their public methods,
-- never the wire; a transient error never ends anything here.
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local single_flight = require "taskclient.rpc.single_flight"
local hosts = require "taskclient.host"
local options = require "taskclient.options"
local pcalls = require "taskclient.host.pcall"
local retry = require "taskclient.rpc.retry"

local M = {}

-- Delay between two looks at a job, in seconds. The first ones come early,
-- for many jobs are short: not so where a look is many requests.
local POLL = {
  linkis = { first = 0.15, grow = 1.6, max = 10, together = 30 },
  lindorm = { first = 0.2, grow = 2, max = 30, together = 1 },
}
local FIRST_MOST = 1        -- the first delay where many are watched
local POLL_WITH_LOG = 2     -- longest delay while log lines are wanted
local REFUSED_FIRST, REFUSED_MOST = 1, 300 -- delay after a refused login, doubled each time
local SILENT, SILENT_AGAIN = 120, 300      -- seconds without news before it is told
local GRACE = 0.5           -- the least time for a job's first look
local SIGNAL_SLICE = 0.2    -- seconds after which a signal is noticed in any host
local LOG_BURST = 50        -- log requests in one look
local LOG_TRIES = 5         -- for the lines of a job that has ended

M.PATIENCE = 60             -- a server may ask for more, with Retry-After, up to this
M.ended = require "taskclient.state".ENDED
M.permanent = retry.permanent

-- Groups by client: { items = set, count =, flight = the last round }.
local groups = setmetatable({}, { __mode = "k" })
-- By job: { path = journal of its run, tell = fn(job, entry, changed) }, called at all that is
-- learned of the job.
M.observers = setmetatable({}, { __mode = "k" })

local Watch = {}
Watch.__index = Watch

---@param where string the public function's name
---@param opts table timeout, poll, on_progress, on_log, on_state, on_interrupt
function M.new(where, opts)
  local choice = opts.on_interrupt
  if type(choice) == "string" and choice ~= "leave" and choice ~= "abort" then
    options.raise(where, "option 'on_interrupt': 'leave', 'abort' or a function expected, got '"
      .. choice:sub(1, 60) .. "'")
  end
  local now, bar = core.now(), opts.on_progress
  return setmetatable({
    opts = opts, bar = type(bar) == "table" and bar.tick and bar,
    started = now, deadline = opts.timeout and now + opts.timeout,
    items = {}, open = 0, done = 0, fresh = 0, total = opts.total, queue = {}, head = 1, tail = 0,
    clients = {},
  }, Watch)
end

local function group_of(client)
  local group = groups[client]
  if not group then
    group = { items = setmetatable({}, { __mode = "k" }), count = 0 }
    groups[client] = group
  end
  return group
end

--- Watches one more job; `tag` comes back with its end.
function Watch:add(job, tag)
  local client = job.client
  local item = {
    job = job, tag = tag, client = client, group = group_of(client), watch = self,
    observer = M.observers[job],
    since = core.now(), due = core.now(), attempt = 0, index = #self.items + 1,
  }
  self.items[item.index], self.clients[client] = item, true
  item.group.items[item] = true
  self.open = self.open + 1
  return item
end

function Watch:remove(item)
  local items = self.items
  local last = items[#items]
  items[item.index], last.index = last, item.index
  items[#items] = nil
  item.group.items[item] = nil
  self.open = self.open - 1
  if item.fresh then item.fresh, self.fresh = nil, self.fresh - 1 end
end

-- `done` counts the end, unless `on_end` has its own idea of what is done.
function Watch:finish(item, state, native, err)
  self:remove(item)
  item.state, item.native, item.err = state, native, err and failure.copy(err)
  if self.on_end then self.on_end(item) else self.done = self.done + 1 end
  self.tail = self.tail + 1
  self.queue[self.tail] = item
end

-- Whether anybody knows that the task ever was.
local function is_known(item) return item.seen or item.job:handle().created end

-- When to look again. Failing rounds spread out, so that clients which were
-- cut off together do not come back together.
local function delay(item, failed, jitter)
  local opts = item.watch.opts
  local poll = opts.poll
  item.attempt = item.attempt + 1
  if type(poll) == "number" then return poll end
  if poll then
    local seconds = pcalls.call(poll, item.attempt, core.now() - item.since)
    if type(seconds) == "number" and seconds >= 0 then return seconds end
    error("the function given as 'poll' must give seconds, not " .. tostring(seconds), 0)
  end
  local plan = POLL[item.client.service] or POLL.linkis
  local longest = opts.on_log and math.min(POLL_WITH_LOG, plan.max) or plan.max
  local requests = math.ceil(item.group.count / plan.together)
  local first = math.min(FIRST_MOST, plan.first * requests)
  item.interval = math.min(longest, item.interval and item.interval * plan.grow or first)
  return item.interval * (failed and 0.5 + jitter or 0.8 + 0.4 * jitter)
end

-- The same after an err of some kinds, in place of what the caller has asked for: a login that
-- is refused is not tried often, for servers lock accounts; what is said of a task that nobody
-- has seen yet is made sure of soon.
local function delay_after(item, err, wait, jitter)
  item.refused = err.kind == "auth" and (item.refused or 0) + 1 or nil
  if item.refused then
    local least = math.min(REFUSED_MOST, REFUSED_FIRST * 2 ^ (item.refused - 1))
    wait = math.max(wait, least * (0.8 + 0.4 * jitter))
  end
  if err.vanished then wait = math.min(wait, retry.doubt_delay(is_known(item))) end
  if not err.retry_after then return wait end
  return math.max(wait, math.min(err.retry_after, M.PATIENCE) * (1 + 0.2 * jitter))
end

-- When the item is due again, found out in the coroutine of its own watch: whose round it was is
-- chance, and what an item's own function raises is for nobody else.
local function schedule(item, err, jitter)
  local wait = math.max(0.01, delay(item, err ~= nil, jitter))
  if err then wait = delay_after(item, err, wait, jitter) else item.refused = nil end
  item.due = core.now() + wait
end

local function due_items(group, now)
  local items, jobs = {}, {}
  group.count = 0
  for item in each(group.items) do
    group.count = group.count + 1
    if item.due - 0.5 * (item.interval or 0) <= now and not item.fresh then
      items[#items + 1] = item
      jobs[#jobs + 1] = item.job
    end
  end
  return items, jobs
end

local function look(group, client, deadline)
  local items, jobs = due_items(group, core.now())
  local entries, err = client:states(jobs, { deadline = deadline })
  local jitter = retry.random()
  for i, item in ipairs(items) do
    if group.items[item] then -- it may have been left meanwhile
      item.jitter, item.watch.fresh = jitter, item.watch.fresh + 1
      item.fresh = entries and entries[i] or { err = err and failure.copy(err) }
    end
  end
end

-- A wait that hears nothing for minutes goes on, but not in silence. Of many jobs of a client
-- one is told.
local function tell_silence(item, err)
  local now, group = core.now(), item.group
  item.silent = item.silent or now
  local seconds = now - item.silent
  if seconds < SILENT or now < (group.told_again or 0) then return end
  group.told_again = now + SILENT_AGAIN
  local text = ("%s: no news for %.0f s; the wait goes on"):format(tostring(item.job), seconds)
  item.client:trace("warn", { what = "no news", job_id = item.job.id, seconds = seconds,
    err = failure.copy(err), message = text })
  if not item.watch.opts.on_progress and core.terminal(2) then
    io.stderr:write("taskclient: ", text, " (", err.kind, ")\n")
  end
end

-- The time by which what is asked beside a look must be answered; one try is always made.
local function deadline_of(watch)
  return watch.deadline and math.max(watch.deadline, core.now() + GRACE)
end

-- Hands over the lines there are; at most a burst. True at the log's end.
local function pump_log(item)
  if item.log == nil then
    local deadline = deadline_of(item.watch)
    local timeout = deadline and deadline - core.now()
    item.log = item.job:logs { follow = true, timeout = timeout } or false
  end
  if not item.log then return true end
  for _ = 1, LOG_BURST do
    local lines, err, notes = item.log:poll()
    if err then return false, err end
    if not lines then return true end
    for i, line in ipairs(lines) do
      pcalls.call(item.watch.opts.on_log, item.job, line, notes and notes[i])
      if item.watch.left then return true end -- by this very function
    end
    if #lines == 0 then return false end
  end
  return false
end

local function drain_log(item)
  local failures = 0
  repeat
    local finished, err = pump_log(item)
    failures = err and failures + 1 or failures
    local hopeless = err and (failures >= LOG_TRIES or M.permanent(err))
    if finished or hopeless then return finished, err end
    hosts.current(item.client).sleep(err and 0.2 * 2 ^ failures or 0.2)
  until item.watch.deadline and core.now() > item.watch.deadline
end

local function progress(item, entry, err)
  local watch = item.watch
  if not watch.opts.on_progress then return end
  pcalls.call(watch.opts.on_progress, item.job, {
    fraction = entry.progress, state = entry.state, native = entry.native,
    note = entry.note or watch.note,
    err = err and failure.copy(err), silent = item.silent and core.now() - item.silent,
    elapsed = core.now() - item.since, done = watch.done, total = watch.total,
  })
end

local function tell(item, entry, changed)
  local opts = item.watch.opts
  if item.observer then item.observer.tell(item.job, entry, changed) end
  if changed and opts.on_state then
    pcalls.call(opts.on_state, item.job, entry.state, entry.native)
  end
  if not item.watch.left then progress(item, entry) end
end

-- What there is to say beside the state is said once, and stands in the timeout.
local function tell_note(item, note)
  if note and item.note ~= note then
    item.client:trace("warn", { what = "note", job_id = item.job.id, message = note })
  end
  item.note = note
end

local function unknown_word(entry)
  return failure.new("unsupported", "the server's word for its state is not known: "
    .. tostring(entry.native))
end

-- Takes what a round has brought for this item.
local function take(item, entry)
  local watch = item.watch
  item.fresh, watch.fresh = nil, watch.fresh - 1
  schedule(item, entry.err, item.jitter)
  if entry.err then
    item.last_err = entry.err
    local told
    item.said, told = retry.count_doubt(item.said, entry.err, entry.err.vanished and is_known(item))
    if M.permanent(entry.err) then told = entry.err end
    if told then return watch:finish(item, nil, nil, told) end
    tell_silence(item, entry.err)
    return progress(item, { state = item.seen or "unknown", native = item.seen_native,
      progress = item.fraction }, entry.err)
  end
  item.said, item.last_err = nil, nil
  tell_note(item, entry.note)
  if entry.state == "unknown" then
    tell_silence(item, unknown_word(entry))
  else
    item.silent = nil
  end
  local changed = entry.state ~= item.seen or entry.native ~= item.seen_native
  item.seen, item.seen_native, item.fraction = entry.state, entry.native, entry.progress
  local ended = M.ended[entry.state]
  local log_err = watch.opts.on_log and select(2, (ended and drain_log or pump_log)(item)) or nil
  if watch.left then return end
  if ended and entry.state ~= "succeeded" then
    local err, cause = item.job:error(entry.info, { deadline = deadline_of(watch) })
    entry.failure = err or cause
  end
  if watch.left then return end
  if ended then watch:finish(item, entry.state, entry.native, entry.failure or log_err) end
  tell(item, entry, changed)
end

local function take_all(watch)
  if watch.fresh == 0 then return end
  for i = #watch.items, 1, -1 do
    local item = watch.items[i]
    if item and item.fresh then take(item, item.fresh) end -- what one is told may end the watch
  end
end

local function earliest(watch)
  local first
  for _, item in ipairs(watch.items) do
    if not first or item.due < first.due then first = item end
  end
  return first
end

-- What servers want to hear meanwhile; seconds until they want it again.
local function keep_alive(watch)
  local soonest = math.huge
  for client in each(watch.clients) do
    soonest = math.min(soonest, client:keep_alive(watch.deadline) or math.huge)
  end
  return soonest
end

-- Seconds after which a wait of that long is left for a moment, for what goes on beside it.
local function slice(watch, seconds)
  seconds = math.min(seconds, math.max(0.05, keep_alive(watch)))
  if watch.held then seconds = math.min(seconds, SIGNAL_SLICE) end
  return watch.bar and math.min(seconds, watch.bar.interval) or seconds
end

local function after_slice(watch)
  if watch.bar then watch.bar:tick() end
  local signal = watch.held and core.caught()
  if signal then pcalls.end_by(signal) end
end

-- One round of looks, for all watches that have jobs due at this client.
local function round(watch, item, limit)
  local group, now = item.group, core.now()
  item.asked = item.asked or now
  local deadline = watch.deadline and math.max(watch.deadline, item.asked + GRACE)
  if not single_flight.busy(group.flight) then
    group.flight = single_flight.new(item.client, look, group, item.client, deadline)
  end
  local leave = math.max(limit or math.huge, item.asked + GRACE)
  local over = single_flight.join(group.flight, deadline, now + slice(watch, leave - now))
  if over == nil then look(group, item.client, deadline) end -- called by what the round waits for
  after_slice(watch)
end

-- One step nearer to news: a round for the job that is due first, or a sleep; in the host of here
-- and now, for a cursor may be made in one and read in another.
local function step(watch, limit)
  local item, now = earliest(watch), core.now()
  if item.due <= now then return round(watch, item, limit) end
  hosts.current(item.client).sleep(slice(watch, math.min(item.due, limit or item.due) - now))
  after_slice(watch)
end

--- The next job that has ended: item with job, tag, state, native, err;
--- nil when nothing is watched or the monotonic time `limit` has come.
function Watch:next(limit)
  limit = math.min(limit or math.huge, self.deadline or math.huge)
  while true do
    take_all(self)
    local item = self.queue[self.head]
    if item then
      self.queue[self.head], self.head = nil, self.head + 1
      return item
    end
    local first, now = self.items[1], core.now()
    local tried = first and (first.attempt > 0 or first.asked and now >= first.asked + GRACE)
    if not first or now >= limit and tried then return nil end
    step(self, limit)
  end
end

--- True when the deadline has come.
function Watch:late() return self.deadline ~= nil and core.now() >= self.deadline end

--- True while there is or will be an end to give.
function Watch:pending() return self.head <= self.tail or self.items[1] ~= nil end

--- Ends the line of a bar, if there is one, before something else is written.
function Watch:end_bar()
  if self.bar then self.bar:finish() end
end

--- Forgets all that is still watched (the jobs go on): their handles.
function Watch:leave()
  local handles = {}
  self.left = true
  self:end_bar()
  for i = #self.items, 1, -1 do
    handles[i] = self.items[i].job:handle()
    self:remove(self.items[i])
  end
  return handles
end

return M
