-- submit_many.lua: many specs, at most so many jobs unfinished at a time, their
-- ends in order of completion. Specs are taken when there is room for them.
-- Knows clients, jobs and runs by their public methods.
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local hosts = require "taskclient.host"
local clients = require "taskclient.client"
local interrupt = require "taskclient.workflow.interrupt"
local new_error = require("taskclient.error").new
local options = require "taskclient.options"
local pcalls = require "taskclient.host.pcall"
local retry = require "taskclient.rpc.retry"
local wait = require "taskclient.workflow.wait"
local watch = require "taskclient.workflow.watch"

local M = {}

local ACTIVE = 20
local BACKOFF, BACKOFF_MAX = 1, 60 -- seconds between attempts, doubled each time
local STOPPED = "not submitted: another has failed"
local LOOKING = "submits whose end is not known, looked for: %d"
-- The entrance's queue is full, or takes nothing at the moment: it ends when jobs end.
local QUEUE_FULL = { [12001] = true, [30009] = true }

local OPTIONS = {
  active = "count", journal = "any", name = "string|function", retry = "count|table",
  stop_on_failure = "boolean", total = "count",
}
for name, types in each(wait.options) do OPTIONS[name] = types end
local RETRY = { times = "!count", codes = "table", kinds = "table", when = "function",
  delay = "duration", max_delay = "duration" }

---@class taskclient.submit_many_options: taskclient.wait_options
---@field active? integer most jobs unfinished at a time (default 20)
---@field journal? taskclient.Run each spec becomes a step of this run
---@field name? string|fun(spec: table, index: integer): string names of the steps (default
---   "submit_many <index>")
---@field retry? integer|table how often a failed job is submitted anew; or {times=, codes=,
---   kinds=,
---  when=fun(ended, attempts): boolean, delay=1, max_delay=60}
---@field stop_on_failure? boolean submit nothing more after a failure; what runs is waited for
---@field total? integer number of specs, for the progress bar, where they come from a function

local Many = {}
Many.__index = Many

local function among(list, value)
  for _, known in ipairs(list or {}) do
    if known == value or tostring(known) == tostring(value) then return true end
  end
  return false
end

-- One function for a table, an iterator and a coroutine.
local function source(specs)
  local meta = debug.getmetatable(specs)
  if type(specs) == "function" or meta and meta.__call then return specs end
  if type(specs) == "thread" then
    return function()
      if coroutine.status(specs) == "dead" then return nil end
      local ok, spec = coroutine.resume(specs)
      if not ok then error(debug.traceback(specs, tostring(spec)), 0) end
      return spec
    end
  end
  options.argument("submit_many", "specs", specs, "table|function")
  local i = 0
  return function()
    i = i + 1
    return specs[i]
  end
end

-- The item's end, as its last attempt has left it. After a failure that stops all, what
-- was to be submitted once more, or has not been submitted yet, ends so too.
local function finish(many, item)
  local counts = many.counts
  if not item.state and not item.err then item.err = new_error("interrupted", STOPPED) end
  local word = item.state or item.err.kind == "submit_unknown" and "unknown" or "not_submitted"
  counts[word] = counts[word] + 1
  counts.retried = counts.retried + item.attempts - item.held - 1
  many.ready[#many.ready + 1] = item
  many.watch.done = many.watch.done + 1
  if word == "succeeded" or not many.stop_on_failure then return end
  counts.stopped = true
  while many.delayed[1] do finish(many, table.remove(many.delayed)) end
end

local function wants_retry(many, item)
  local rule, err = many.retry, item.err
  local forbidden = many.counts.stopped or err and err.kind == "submit_unknown"
  if forbidden or item.attempts - item.held > rule.times then return false end
  if rule.when then return pcalls.call(rule.when, item, item.attempts) end
  if rule.codes or rule.kinds then
    return err ~= nil and (among(rule.codes, err.code) or among(rule.kinds, err.kind))
  end
  return item.state == "failed" or item.state == nil
end

local function later(many, item, times)
  local rule, err = many.retry, item.err
  local delay = (rule.delay or BACKOFF) * 2 ^ math.min(times, 20)
  delay = math.min(delay, rule.max_delay or BACKOFF_MAX)
  local asked = math.min(err and err.retry_after or 0, watch.PATIENCE)
  item.at = core.now() + math.max(delay * (0.8 + 0.4 * retry.random()), asked)
  many.delayed[#many.delayed + 1] = item
end

local function settle(many, item, state, native, err)
  item.state, item.native, item.err = state, native, err
  if not wants_retry(many, item) or many.closed then return finish(many, item) end
  item.again = true
  later(many, item, item.attempts - item.held - 1)
end

-- A submit that was surely not sent is no attempt: the server is away. Nor is one that a full
-- queue has refused: it waits until jobs have ended. One whose end is not known is looked for
-- while the others go on.
local function refused(many, item, err)
  item.last_id = err.job_id or item.last_id -- of the row that a refusal leaves
  if watch.permanent(err) then
    many.fatal = err
  elseif err.kind == "submit_unknown" and many.client.look_again then
    item.unknown, item.at = err, core.now()
    many.searching[#many.searching + 1] = item
    return
  elseif err.outcome == "not_sent" and not many.counts.stopped then
    item.err, item.unsent = err, (item.unsent or 0) + 1
    return later(many, item, item.unsent)
  elseif QUEUE_FULL[err.code] and err.outcome == "rejected" and not many.counts.stopped then
    item.err, item.held, item.again = err, item.held + 1, true
    many.client:trace("info", { what = "held back", operation = "submit", err = err })
    return later(many, item, item.held - 1)
  end
  settle(many, item, nil, nil, err)
end

local function submitted(many, item, job)
  item.job, item.unsent, item.last_id = job, nil, job.id
  if not many.closed then many.watch:add(job, item) end
end

local function submit(many, item)
  local job, err
  if item.plan then
    job, err = many.journal:launch(item.plan, many.watch.deadline, false)
  elseif many.keyed then
    job, err = many.client:submit(item.spec, { deadline = many.cut_at, wait = false,
      adopt = item.attempts == 1, after = item.last_id })
  else
    job, err = many.client:submit(item.spec)
  end
  if not job then return refused(many, item, err) end
  submitted(many, item, job)
end

-- One more look for each submit whose end is not known, where it is due.
local function search(many)
  local list = many.searching
  for i = #list, 1, -1 do
    local item = list[i]
    if item.at <= core.now() then
      local looker, plan = many.journal or many.client, item.plan
      local job, err, at = looker:look_again(item.unknown, plan)
      item.at = at or item.at
      if job or err then table.remove(list, i) end
      if job then submitted(many, item, job) end
      if err then settle(many, item, nil, nil, err) end
      if many.closed then return end -- by a function of the user's, in the middle
    end
  end
  many.watch.note = list[1] and LOOKING:format(#list) or nil
end

-- With a journal: what it knows of the item, or its intent. True when the end is known already.
local function prepare(many, item)
  if not many.journal or item.unsent then return end
  local plan, err = many.journal:prepare(item.name, many.client, item.spec, item.again)
  many.fatal = many.fatal or err
  if not plan then return end
  item.plan, item.attempts = plan, plan.attempt.n
  if not (plan.here and watch.ended[plan.attempt.state]) then return end
  item.job = many.client:attach(plan.attempt.handle)
  settle(many, item, plan.attempt.state, plan.attempt.native, plan.attempt.err)
  return true
end

local function name_of(many, spec, index)
  if type(many.name) == "function" then return pcalls.call(many.name, spec, index) end
  return (many.name or "submit_many") .. " " .. index
end

local function next_item(many)
  local spec = not (many.exhausted or many.counts.stopped) and many.source() or nil
  if not spec then
    many.exhausted, many.watch.total = true, many.counts.total
    return nil
  end
  local index = many.counts.total + 1
  options.argument("submit_many", "spec " .. index, spec, "table")
  many.counts.total = index
  return { index = index, spec = spec, attempts = 1, held = 0,
    name = many.journal and name_of(many, spec, index) or nil }
end

-- fn(many, item); an error in it says of which spec it is.
local function about(fn, many, item)
  local ok, value = pcalls.try(fn, many, item)
  if ok then return value end
  error(type(value) == "string" and ("spec %d: %s"):format(item.index, value) or value, 0)
end

-- Delayed items whose time has come, then new ones, as far as there is room.
local function take_up(many)
  local list, delayed, now = {}, many.delayed, core.now()
  for i = #delayed, 1, -1 do
    if delayed[i].at <= now then
      local item = table.remove(delayed, i)
      if item.again then item.attempts = item.attempts + 1 end
      if not about(prepare, many, item) then list[#list + 1] = item end
      item.again = nil
    end
  end
  while many.watch.open + #delayed + #list + #many.searching < many.active
    and #many.ready < many.active do
    local item = next_item(many)
    if not item then break end
    if not about(prepare, many, item) then list[#list + 1] = item end
  end
  return list
end

-- All intents are on the disk, by one sync, before the first submit goes out.
local function fill(many)
  local list = take_up(many)
  if many.fatal or #list == 0 then return end
  if many.journal then many.fatal = select(2, many.journal.journal:sync()) end
  for _, item in ipairs(list) do
    if many.closed then return end -- by a function of the user's, in the middle
    if many.counts.stopped then
      finish(many, item)
    elseif many.fatal or many.watch:late() then -- it stays undone
      item.at, many.delayed[#many.delayed + 1] = core.now(), item
    else
      about(submit, many, item)
    end
  end
end

-- When something is to be submitted or looked for; nil: nothing is.
local function next_time(many)
  local at = math.huge
  for _, item in ipairs(many.delayed) do at = math.min(at, item.at) end
  for _, item in ipairs(many.searching) do at = math.min(at, item.at) end
  return at < math.huge and at or nil
end

-- Takes and submits nothing more and watches nothing longer: handles of what goes on.
local function leave(many)
  many.exhausted, many.delayed, many.ready, many.fatal = true, {}, {}, nil
  many.searching = {}
  return many.watch:leave()
end

-- Those of which it is not known whether they were submitted; nil: there are none.
local function unknown_of(many)
  local list = {}
  for i, item in ipairs(many.searching) do
    list[i] = { index = item.index, key = item.unknown.key, since = item.unknown.since }
  end
  return list[1] and list
end

local function advance(_, many)
  local w = many.watch
  while true do
    local ended = table.remove(many.ready, 1)
    if ended then return ended end
    if many.fatal then
      local err = many.fatal
      err.unknown = unknown_of(many)
      err.handles = leave(many)
      return nil, err
    end
    if many.searching[1] then search(many) end
    if not w:late() then fill(many) end
    local limit, news = next_time(many), many.ready[1] or many.fatal
    if not news and not w:next(limit) then
      if many.exhausted and not limit and not w:pending() then return w:end_bar() end
      if w:late() then
        many.fatal = wait.timeout(w, many.delayed)
      elseif limit and not w:pending() then
        local seconds = math.min(limit, w.deadline or limit) - core.now()
        hosts.current(many.client).sleep(math.max(0, seconds))
      end
    end
  end
end

--- The next end.
---@return table|nil ended {index=, spec=, name=, job=, state=, native=, err=, attempts=}; nil after
---  the last
---@return table|nil err with `handles` of what goes on, when no more can be done: timeout, auth,
---  the journal's disk; `unknown`: {index=, key=, since=} of each submit whose end is not known
function Many:read() return interrupt.guard(self.watch, advance, self) end

Many.__call = wait.Cursor.__call

local function read_all(w, many)
  while true do
    local ended, err = advance(w, many)
    if err then return nil, err end
    if not ended then return many:summary() end
    if many.told then pcalls.call(many.told, ended) end
  end
end

--- Reads to the end. Ctrl-C in `on_end` settles the jobs as well.
---@param on_end? fun(ended: table)
---@return table|nil summary as of `summary`
---@return table|nil err
function Many:finish(on_end)
  if on_end ~= nil then options.argument("finish", "on_end", on_end, "function") end
  self.told = on_end
  return interrupt.guard(self.watch, read_all, self)
end

--- Counts so far.
---@return table counts total, succeeded, failed, cancelled, unknown, not_submitted, retried,
---  seconds, stopped
function Many:summary()
  local summary = { seconds = core.now() - self.watch.started }
  for name, n in each(self.counts) do summary[name] = n end
  return summary
end

--- Watches no longer; the jobs go on.
function Many:close()
  self.closed = true
  leave(self)
end
Many.__close = Many.close

function Many:__tostring()
  return ("submit_many (%d specs taken, %d jobs open)"):format(self.counts.total, self.watch.open)
end

--- Submits many, at most so many unfinished at a time, and gives their ends as they come.
--- One submit goes out after the other; how long a server may hold one, and the rest up, is for
--- `submit_timeout` of a Linkis client, or `timeout` of a spec, to say. What a full queue refuses
--- is held back and submitted again; a submit whose end is not known is looked for (by its key)
--- while the others go on. The deadline of all cuts off a Linkis submit that is on its way, which
--- is then looked for by its key (up to 15 s); a load of Lindorm, which nothing could find, has its
--- own time.
---@param specs table|function|thread array, iterator or coroutine of specs
---@param opts? taskclient.submit_many_options
---@return table cursor `for ended in cursor`, `:read()`, `:finish()`, `:summary()`, `:close()`
function M.submit_many(client, specs, opts)
  opts = options.check("submit_many", opts, OPTIONS)
  local again = opts.retry
  if type(again) == "table" then options.check("submit_many", again, RETRY) end
  if opts.journal and not (type(opts.journal) == "table" and opts.journal.prepare) then
    options.raise("submit_many", "option 'journal': what taskclient.journal gives expected")
  end
  local w = watch.new("submit_many", opts)
  local take = source(specs)
  w.total = opts.total or type(specs) == "table" and take ~= specs and #specs or nil
  local many = setmetatable({
    client = client, source = take, active = opts.active or ACTIVE, name = opts.name,
    journal = opts.journal, stop_on_failure = opts.stop_on_failure,
    retry = type(again) == "table" and again or { times = again or 0 },
    watch = w, keyed = client.look_again ~= nil, cut_at = w.deadline,
    ready = {}, delayed = {}, searching = {},
    counts = { total = 0, succeeded = 0, failed = 0, cancelled = 0, unknown = 0,
      not_submitted = 0, retried = 0 },
  }, Many)
  -- an end counts as one only if the attempt is the last
  function w.on_end(item) settle(many, item.tag, item.state, item.native, item.err) end
  return many
end

clients.install { submit_many = M.submit_many }

return M
