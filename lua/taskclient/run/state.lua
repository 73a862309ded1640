-- ledger.lua: what a journal's records add up to, line by line, the same way
-- when they are written and when they are read again. Pure data.
local each = require "taskclient.compat".each

local M = {}

local function step_of(ledger, name)
  local step = ledger.steps[name]
  if not step then
    step = { name = name, attempts = {} }
    ledger.steps[name] = step
    ledger.order[#ledger.order + 1] = step
  end
  return step
end

local function attempt_of(ledger, record, kind)
  local step = step_of(ledger, record.step)
  step.kind, step.open = kind, true
  local attempt = { n = #step.attempts + 1, from = record.at }
  step.attempts[attempt.n] = attempt
  return attempt
end

local function finish(attempt, record, state)
  attempt.state, attempt.to, attempt.err = state, record.at, record.err
end

-- What each kind of record does to the ledger and the step's latest attempt.
local ON = {
  run = function(ledger, record) ledger.id, ledger.at = record.id, record.at end,
  closed = function(ledger, record) ledger.closed = record.at end,
  resumed = function(ledger, record)
    ledger.resumed[#ledger.resumed + 1] = { at = record.at, since = ledger.last,
      crashed = not ledger.closed }
    ledger.closed = nil
  end,
  intent = function(ledger, record)
    local attempt = attempt_of(ledger, record, "job")
    attempt.key, attempt.spec, attempt.service = record.key, record.spec, record.service
    attempt.url = record.url
    attempt.state = "intended"
  end,
  -- `since` is the server's time: the ledger has the first of each server
  sending = function(ledger, record, attempt)
    attempt.since = record.since
    local url = attempt.url or ""
    ledger.since[url] = ledger.since[url] or record.since
    attempt.sending, attempt.state, attempt.to, attempt.err = record.at, "submitting", nil, nil
  end,
  begun = function(ledger, record) attempt_of(ledger, record, "step").state = "running" end,
  accepted = function(_, record, attempt)
    attempt.id, attempt.handle, attempt.accepted = record.id, record.handle, record.at
    attempt.state, attempt.err, attempt.to = "queued", nil, nil
  end,
  refused = function(_, record, attempt)
    finish(attempt, record, "refused")
    attempt.sending = nil
  end,
  unknown = function(_, record, attempt)
    attempt.state, attempt.err = "unknown", record.err
  end,
  state = function(_, record, attempt)
    attempt.state, attempt.native = record.state, record.native
    if record.state == "running" then attempt.running = attempt.running or record.at end
  end,
  ended = function(_, record, attempt)
    finish(attempt, record, record.state)
    attempt.native, attempt.log = record.native, record.log
  end,
  done = function(_, record, attempt)
    finish(attempt, record, "succeeded")
    attempt.value = record.value
  end,
  raised = function(_, record, attempt) finish(attempt, record, "failed") end,
  retry = function(ledger, record) ledger.steps[record.step].open = false end,
  forgotten = function(ledger, record, attempt)
    ledger.steps[record.step].open = false
    if not attempt.to then finish(attempt, record, "forgotten") end
  end,
}

-- What a record of each kind must have, beside the time: "?" where it may be absent.
local FIELDS = {
  run = { id = "string" }, resumed = {}, closed = {}, begun = {}, sending = {}, retry = {},
  forgotten = {}, raised = { err = "table?" }, done = {},
  intent = { key = "string", spec = "table?", service = "string?", url = "string?" },
  accepted = { id = "id", handle = "table" },
  refused = { err = "table?" }, unknown = { err = "table?" },
  state = { state = "string", native = "string?" },
  ended = { state = "string", native = "string?", err = "table?", log = "table?" },
}
local NO_STEP = { run = true, resumed = true, closed = true }
local BEGINS = { intent = true, begun = true } -- an attempt
local LATEST = 253402300799 -- the last second of the year 9999, which os.date can still tell

local function fits(value, types)
  if types == "id" then return type(value) == "string" or type(value) == "number" end
  local word, may_lack = types:match "^(%a+)(%??)$"
  return type(value) == word or value == nil and may_lack == "?"
end

local function texts_only(list)
  for _, line in each(list or {}) do
    if type(line) ~= "string" then return false end
  end
  return true
end

-- The name of a member that is not what it should be, or nil.
local function bad_member(record)
  local at, err = record.at, record.err
  if type(at) ~= "number" or not (at >= 0 and at <= LATEST) then return "at" end
  if type(record.what) ~= "string" then return "what" end
  local fields = FIELDS[record.what]
  if not fields then return nil end
  if not NO_STEP[record.what] and type(record.step) ~= "string" then return "step" end
  for name, types in each(fields) do
    if not fits(record[name], types) then return name end
  end
  if type(err) == "table" and type(err.message) ~= "string" then return "err" end
  if not texts_only(record.log) then return "log" end
  if record.spec and not texts_only(record.spec) then return "spec" end
  local handle = record.handle
  if handle and not (fits(handle.id, "id") and fits(handle.url, "string?")) then return "handle" end
end

--- Why a record cannot follow upon what the ledger holds, or nil.
function M.complaint(ledger, record)
  local what = record.what
  local bad = bad_member(record)
  if bad then return ("its member '%s' is not as it is written"):format(bad) end
  if (what == "run") ~= (ledger.id == nil) then
    return what == "run" and "it begins a run that has begun" or "no run has begun"
  end
  if ledger.closed and what ~= "resumed" then return "the run was closed before it" end
  if not FIELDS[what] or NO_STEP[what] then return nil end
  local step = ledger.steps[record.step]
  local attempts = step and #step.attempts or 0
  if not BEGINS[what] and attempts == 0 then return "its step has not begun" end
  if what == "intent" and (record.attempt or attempts + 1) ~= attempts + 1 then
    return "it is not the step's next attempt"
  end
end

--- Takes one more record in; kinds it does not know are left alone.
function M.apply(ledger, record)
  local on = ON[record.what]
  local step = record.step and ledger.steps[record.step]
  local attempt = step and step.attempts[#step.attempts]
  if on then on(ledger, record, attempt) end
  ledger.last = record.at
end

--- The ledger of these records; nil, the number of the first that cannot follow upon those
--- before it, and why.
function M.new(records)
  local ledger = { steps = {}, order = {}, resumed = {}, since = {} }
  for number, record in ipairs(records) do
    local why = M.complaint(ledger, record)
    if why then return nil, number, why end
    M.apply(ledger, record)
  end
  return ledger
end

--- The attempt that counts for a step: nil when there is none or it was given up.
function M.current(ledger, name)
  local step = ledger.steps[name]
  return step and step.open and step.attempts[#step.attempts] or nil
end

--- All steps in the order of their first attempt, as plain tables.
function M.list(ledger)
  local list = {}
  for i, step in ipairs(ledger.order) do
    local last = step.attempts[#step.attempts]
    list[i] = { name = step.name, kind = step.kind, state = last.state, native = last.native,
      id = last.id, attempts = #step.attempts, value = last.value, err = last.err,
      started = step.attempts[1].from, ended = last.to }
  end
  return list
end

return M
