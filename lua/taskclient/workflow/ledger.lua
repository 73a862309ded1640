-- ledger.lua: what a journal's records add up to, line by line, the same way
-- when they are written and when they are read again. Pure data.
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
    attempt.state = "intended"
  end,
  sending = function(_, record, attempt)
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

--- Takes one more record in; kinds it does not know are left alone.
function M.apply(ledger, record)
  local on = ON[record.what]
  local step = record.step and ledger.steps[record.step]
  local attempt = step and step.attempts[#step.attempts]
  if on then on(ledger, record, attempt) end
  ledger.last = record.at
end

--- The ledger of these records.
function M.new(records)
  local ledger = { steps = {}, order = {}, resumed = {} }
  for _, record in ipairs(records) do M.apply(ledger, record) end
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
