-- run.lua: a durable run. Each step has a name and happens once: the journal
-- says what was intended before it goes out and what came of it, so that a
-- script killed anywhere goes on where it was. Knows clients and jobs by their
-- public methods; the file is journal.lua's, the picture report.lua's.
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local fingerprint = require "taskclient.run.fingerprint"
local redaction = require "taskclient.text.redact"
local hosts = require "taskclient.host"
local journal = require "taskclient.run.journal"
local run_state = require "taskclient.run.state"
local new_error = require("taskclient.error").new
local options = require "taskclient.options"
local pcalls = require "taskclient.host.pcall"
local watch = require "taskclient.workflow.watch"

local M = {}

local LOG_TAIL, LOG_LONGEST = 6, 20000 -- lines of a failed job kept; lines read for them
local LOG_CONTEXT = 200                -- lines before the last that may begin a secret in it
-- A submit that was cut off (protocols 3.1): a sick server holds it for 16 minutes and
-- tries to store it every two, so that its list must have been fine for a while.
local SETTLE, HOLD = 60, 1200 -- seconds
local TROUBLE = 2.5           -- times SETTLE, where the list has failed or nobody has looked
local FIRST_LOOK, LONGEST_LOOK = 0.2, 5
local DISTRUST = 30 * 86400   -- seconds by which a time of this machine's is not relied upon
local CUT_FIRST = 65536       -- bytes of a text that are looked through for secrets
local VALUE_MOST = 2 ^ 24     -- bytes of a step's value: a journal is read as a whole

---@class taskclient.Run
local Run = {}
Run.__index = Run

-- Writes a record and lets the run's picture of itself follow it.
local function note(run, what, step, fields)
  local record = { at = core.time(), what = what, step = step }
  for name, value in each(fields or {}) do record[name] = value end
  local ok, err = run.journal:write(record)
  if not ok then return nil, err end
  run_state.apply(run.ledger, record)
  return true
end

-- The same, and on the disk.
local function keep(run, what, step, fields)
  note(run, what, step, fields)
  return run.journal:sync() -- which tells what kept the record out
end

-- Several tasks that come here together share one fdatasync.
local function settle(run)
  local co, main = coroutine.running()
  if co and not main then hosts.current().sleep(0) end
  return run.journal:sync()
end

--- Opens a run's journal: made, or continued where it was.
---@param path string
---@param opts? table settle: for so many seconds (default 60) the server's list must have
---  answered without a Linkis submit that a crash cut off, before it goes out anew; read_only:
---  only to look (`steps`, `table`, `svg`, `html`), also at a run that goes on
---@return taskclient.Run|nil
---@return table|nil err kind "io": cannot be written, locked by another run, damaged
function M.open(path, opts)
  options.argument("journal", "path", path, "text")
  opts = options.check("journal", opts, { read_only = "boolean", settle = "duration" })
  local book
  local first = { at = core.time(), what = "run", id = core.random(8), n = 1 }
  local file, err = journal.open(path, { read_only = opts.read_only, first = first,
    judge = function(records)
      local number, why
      book, number, why = run_state.new(records)
      return number, why
    end })
  if not file then return nil, err end
  local run = setmetatable({ path = path, journal = file, used = {},
    clients = {}, existing = {}, settle = opts.settle or SETTLE, ledger = book }, Run)
  run.continued = book.id ~= nil and book.id ~= first.id
  if opts.read_only then return run end
  if not book.id then run_state.apply(book, first) end -- the file was there, and empty
  local ok = not run.continued
  if not ok then ok, err = keep(run, "resumed", nil, { id = book.id }) end
  if ok then return run end
  file:close()
  return nil, err
end

local function use(run, name)
  options.argument("step", "name", name, "text")
  local text, why = core.encode(name, "name")
  if not text then options.raise("step", why) end
  local here, before = options.place(), run.used[name]
  if before then
    error(string.format("step '%s' is used twice in this run: at %s and at %s; "
      .. "give it an index, as in '%s 2', or run:retry(%q)", name, before, here, name, name), 0)
  end
  run.used[name] = here
end

local function key_of(run, name, n)
  local safe = name:gsub("[^0-9A-Za-z._-]", "-") -- not %w, which follows the locale
  return string.format("%s.%s.%s%s.%d", run.ledger.id, safe:sub(1, 40),
    core.crc32(name), core.crc32(#name .. name:reverse()), n)
end

local function unknown(name, attempt, trouble)
  local known = trouble or attempt.err or { message = "the script ended in its middle" }
  return new_error("submit_unknown", string.format(
    "step '%s': its submit of %s was cut off, so whether the task exists is not known (%s); "
    .. "look on the server, then run:resolve(%q, id) or run:forget(%q)", name,
    os.date("%Y-%m-%d %H:%M:%S", math.floor(attempt.from)), known.message, name, name),
    { outcome = "unknown", key = attempt.key, step = name,
      since = attempt.since or not attempt.key and attempt.from or nil })
end

-- An attempt still to be made: its intent is written, but not yet on the disk.
local function intend(run, plan, form)
  local name = plan.name
  local step = run.ledger.steps[name]
  local n = step and #step.attempts + 1 or 1
  local ok, err = note(run, "intent", name,
    { key = key_of(run, name, n), attempt = n, service = plan.client.service,
      url = plan.client.url, spec = form })
  plan.attempt = ok and run_state.current(run.ledger, name)
  return ok and plan, err
end

-- Raises where the name has stood for something else.
local function check_same(name, attempt, form)
  local text = fingerprint.tell(attempt.spec or {}, form)
  if text then
    error(string.format("step '%s' has another spec than in the journal:\n%s\n"
      .. "to do it anew: run:forget(%q)", name, text, name), 0)
  end
end

-- The server at which an attempt may have its task, where that is not the client's.
local function elsewhere(attempt, client)
  local was = { service = attempt.service, url = attempt.url }
  if attempt.handle then was.url = attempt.handle.url end
  local same = (was.service or client.service) == client.service
    and (was.url or client.url) == client.url
  if not same and (attempt.sending or attempt.handle) then return was end
end

--- What is to be done for a step: the first half of `submit`, before the sync.
--- `again`: a new attempt of a step that has ended.
---@private
function Run:prepare(name, client, spec, again)
  client:check_spec(spec) -- what can never go out is no step
  if spec.key then options.raise("submit", "field 'key' is the run's own; leave it out") end
  if not again then use(self, name) end
  local form, clean = fingerprint.form(spec, client)
  self.clients[client] = true
  local plan = { name = name, client = client, spec = spec, clean = clean,
    keyed = client.service ~= "lindorm" } -- which has no key to look for
  local attempt = run_state.current(self.ledger, name)
  if again or not attempt or attempt.state == "refused" then return intend(self, plan, form) end
  check_same(name, attempt, form)
  plan.attempt, plan.other = attempt, elsewhere(attempt, client)
  plan.here = attempt.handle ~= nil and not plan.other
  return plan
end

-- Text that JSON can hold and anybody may read, at most so many bytes of it.
local function plain(text, most, clean)
  -- cut first, for a text may be of any length; far behind `most`, for the cut may go through a
  -- secret, of which the first half would not be known for one
  text = (clean or redaction.text)(tostring(text):sub(1, CUT_FIRST))
  if #text > most then text = text:sub(1, most):gsub("[\192-\255][\128-\191]*$", "") end
  return core.encode(text) and text or (text:gsub("[\128-\255]", "?"))
end

-- The last lines up to the last ERROR line, behind which the server sums up at length.
local function tail_of_log(job, clean)
  local cursor, lines, tail, last = job:logs(), {}, {}, nil
  while cursor and #lines < LOG_LONGEST do
    local line, told = cursor:read()
    if not line then break end
    lines[#lines + 1] = line
    if told and told.level == "error" then last = #lines end
  end
  last = last or #lines
  -- cleaned together with what stands before, for a secret may go over several lines
  local text = table.concat(lines, "\n", math.max(1, last - LOG_CONTEXT), last)
  if #text > CUT_FIRST then text = text:sub(-CUT_FIRST):gsub("^[^\n]*\n", "") end
  local shown = {}
  for line in (clean(text) .. "\n"):gmatch "([^\n]*)\n" do
    shown[#shown + 1] = line
  end
  for i = math.max(1, #shown - LOG_TAIL + 1), last > 0 and #shown or 0 do
    tail[#tail + 1] = plain(shown[i], 400, clean)
  end
  return tail
end

local function plain_error(err, clean)
  local known = type(err) == "table" and err or {}
  local kind, code = known.kind, known.code -- of a table of the user's they may be anything
  return err and { kind = type(kind) == "string" and plain(kind, 100, clean) or nil,
    code = type(code) == "string" and plain(code, 100, clean)
      or type(code) == "number" and core.encode(code) and code or nil,
    message = plain(known.message or err, 4000, clean) }
end

local function end_of(job, entry, clean)
  return { state = entry.state, native = entry.native, err = plain_error(entry.failure, clean),
    log = entry.failure and job.client.service == "linkis" and tail_of_log(job, clean) or nil }
end

-- Has the journal hear of what a wait learns about the job.
local function follow(run, plan, job)
  local name, attempt, clean = plan.name, plan.attempt, plan.clean
  watch.observers[job] = { path = run.path, tell = function(seen, entry, changed_state)
    local stale = attempt.to or attempt ~= run_state.current(run.ledger, name)
    if stale or not changed_state then return end
    if watch.ended[entry.state] then
      return note(run, "ended", name, end_of(seen, entry, clean))
    end
    note(run, "state", name, { state = entry.state, native = entry.native })
  end }
  return job
end

-- What an earlier process may have sent stays open, whatever this one could not send.
local function refused(run, plan, err, sent_before)
  if sent_before and err.outcome == "not_sent" then return nil, err end
  note(run, err.outcome == "unknown" and "unknown" or "refused", plan.name,
    { err = plain_error(err, plan.clean) })
  return nil, err
end

-- Seconds from a cut submit to the monotonic time `now`, by the server's own clock: this machine's
-- may have been set since then. nil: not known.
local function age_at(now, plan)
  local since = not plan.other and plan.attempt.since
  local time = since and plan.client:server_time()
  local age = time and time - since - (core.now() - now)
  return age and age >= 0 and age or nil
end

-- Since when a task may exist: by the server's clock, else by this machine's, which may have been
-- wrong then, and so many days before that.
local function since_when(told, at) return told or at - DISTRUST end

-- Looks for the task of a submit that was cut off: job; nil when it was never made; nil, err.
local function look(run, plan, deadline)
  local name, client, attempt = plan.name, plan.client, plan.attempt
  local start, pause, fine_since, trouble = core.now(), FIRST_LOOK, nil, false
  while true do
    local asked = core.now()
    local job, err = client:reconcile(attempt.key,
      since_when(not plan.other and attempt.since, attempt.from), { deadline = deadline })
    if job then return job end
    local age = age_at(start, plan)
    local limit = start + math.max(HOLD - (age or 0), 0)
    if err then
      fine_since, trouble = nil, true
      local over = asked >= limit or err.kind == "unsupported"
      if over then return nil, unknown(name, attempt, err) end
      err.outcome = "not_sent"
      if watch.permanent(err) then return nil, err end
    else
      trouble = trouble or not age or age > run.settle
      fine_since = fine_since or trouble and asked or start - age
      local need = trouble and TROUBLE * run.settle or run.settle
      if asked >= math.min(fine_since + need, limit) then return nil end
    end
    if asked >= (deadline or math.huge) then
      return nil, new_error("timeout", "no time to look for " .. name, { outcome = "not_sent" })
    end
    client:trace("warn", { what = "looking for a cut submit", step = name, err = err })
    if pause == FIRST_LOOK and core.terminal(2) then
      io.stderr:write("step '", name, "': its submit was cut off; looking for its task first\n")
    end
    hosts.current(client).sleep(pause)
    pause = math.min(1.6 * pause, LONGEST_LOOK)
  end
end

local function accepted(run, plan, job)
  note(run, "accepted", plan.name, { id = job.id, handle = job:handle() })
  if not plan.keyed then run.journal:sync() end -- no key would find it again
  return follow(run, plan, job)
end

-- The submit itself. Whether it was begun is in the journal before its first byte goes out.
-- wait = false: a server with keys is not waited for (`Run:look_again`).
local function send(run, plan, deadline, wait)
  local spec, keyed, sent_before = {}, plan.keyed, plan.attempt.sending ~= nil
  local since = plan.client:server_time(keyed, deadline)
  local job, err = (keyed and note or keep)(run, "sending", plan.name, { since = since })
  if not job then return nil, err end
  for field, value in each(plan.spec) do spec[field] = value end
  spec.key = keyed and plan.attempt.key or nil
  local opts = keyed and { adopt = false, shared = sent_before, deadline = deadline,
    wait = wait } or nil
  job, err = plan.client:submit(spec, opts)
  if not job then return refused(run, plan, err, sent_before) end
  return accepted(run, plan, job)
end

-- The task that a server with keys has already of an earlier process: job, nil, or nil, err.
-- At another address the id may be another task's: the key tells.
-- All of the run are asked for once, for a journal may have lost its end; a server without a
-- list leaves the journal alone to know.
local function earlier(run, plan, deadline)
  local client, attempt = plan.client, plan.attempt
  if attempt.sending and not attempt.handle then return look(run, plan, deadline) end
  if run.continued and not run.existing[client] then
    local ids, err = client:submitted(run.ledger.id .. ".",
      since_when(run.ledger.since[client.url], run.ledger.at), { deadline = deadline })
    if not ids and err.kind ~= "unsupported" then
      err.outcome = "not_sent"
      return nil, err
    end
    run.existing[client] = ids or {}
  end
  local id = run.existing[client] and run.existing[client][attempt.key]
  return id and client:attach { id = id, key = attempt.key }
end

--- The second half of `submit`: the task that exists already, or the submit.
---@private
function Run:launch(plan, deadline, wait)
  local client, attempt = plan.client, plan.attempt
  if plan.here then return follow(self, plan, client:attach(attempt.handle)) end
  local job, err
  if plan.keyed then
    job, err = earlier(self, plan, deadline)
  elseif attempt.sending then
    err = unknown(plan.name, attempt)
  end
  if job then return accepted(self, plan, job) end
  if plan.other and (not err or not plan.keyed) then
    check_same(plan.name, { spec = plan.other }, { service = client.service, url = client.url })
  end
  if not err then return send(self, plan, deadline, wait) end
  local news = err.kind == "submit_unknown" and attempt.state ~= "unknown"
  if news then note(self, "unknown", plan.name) end
  return nil, err
end

--- One more look for the task of a submit that `launch` did not wait for.
---@private
function Run:look_again(err, plan)
  local job, final, at = plan.client:look_again(err)
  if job then return accepted(self, plan, job) end
  return nil, final, at
end

--- Submits once per name: after a crash it gives the job that exists.
---@param name string unique in the run
---@param client userdata
---@param spec table as for `client:submit`, without `key`
---@return userdata|nil job
---@return table|nil err the same call may be tried again; `submit_unknown` (Lindorm) until
---   `resolve` or `forget`
function Run:submit(name, client, spec)
  options.argument("submit", "name", name, "text")
  if type(client) ~= "userdata" and type(client) ~= "table" or client.submit == nil then
    options.raise("submit", "client: a client expected, got " .. type(client))
  end
  options.argument("submit", "spec", spec, "table")
  local plan, err = self:prepare(name, client, spec)
  local ok = plan ~= nil
  if ok then ok, err = settle(self) end
  if ok then ok, err = self:launch(plan) end
  if not ok then self.used[name] = nil end -- it may be tried again
  return ok or nil, err
end

-- Of what a step's own function says nothing is known but the secrets of the run's clients.
local function cleaner(run)
  return function(text)
    for client in each(run.clients) do text = client:redact(text) end
    return redaction.text(text)
  end
end

-- What a step's function has given, as JSON; nil where it has failed, with what raises.
local function value_text(name, n, value, err)
  if value == nil and n > 0 or value == false and err ~= nil then return nil end
  local text, why = core.encode(n == 0 or value, "step '" .. name .. "'")
  if text and #text <= VALUE_MOST then return text end
  return nil, (why or ("step '%s': a value of %d bytes"):format(name, #text))
    .. (why and ": a step's value must be what JSON can hold"
      or ": a journal holds small values; write it to a file and give its path")
end

local function remember(run, name, n, ok, value, err)
  local text, why
  if ok then
    text, why = value_text(name, n, value, err)
    if not text and err == nil then
      err = new_error("step", ("step '%s' is not done: its function gave nil and no reason")
        :format(name), { step = name })
    end
  end
  if not text then
    note(run, "raised", name, { err = plain_error(why or ok and err or value, cleaner(run)) })
    if why then options.raise("step", why) end
    if not ok then error(value, 0) end
    return nil, err
  end
  value = core.decode(text)
  ok, err = keep(run, "done", name, { value = value })
  if not ok then return nil, err end
  return value
end

-- How many values a function has given decides, for `return nil` is a failure.
local function counted(run, name, ok, ...)
  return remember(run, name, select("#", ...), ok, ...)
end

--- Runs `fn` once; its first value is remembered and returned at once ever after. A function that
--- raises, gives nil (`nil, err` above all) or `false` with a reason has failed: nothing is
--- remembered, and the next run tries again.
---@param name string unique in the run
---@param fn fun(): any its value must be what JSON can hold
---@return any value true where the function returned nothing at all
---@return any err what the function gave beside nil
function Run:step(name, fn)
  options.argument("step", "fn", fn, "function")
  use(self, name)
  local attempt = run_state.current(self.ledger, name)
  if attempt then check_same(name, attempt, {}) end
  if attempt and attempt.state == "succeeded" then return attempt.value end
  local ok, err = note(self, "begun", name)
  if not ok then return nil, err end
  return counted(self, name, pcalls.try(fn))
end

-- Writes what a person has decided about a step; `complaint` tells what forbids it.
local function decide(run, what, name, fields, complaint)
  local attempt = run_state.current(run.ledger, name)
  if not attempt then
    return nil, new_error("io", string.format("%s knows no step '%s'", run.path, tostring(name)))
  end
  local why = complaint and complaint(attempt)
  if why then
    return nil, new_error("unsupported", ("step '%s' %s: %s"):format(name, why, attempt.state))
  end
  run.used[name] = nil
  return keep(run, what, name, fields)
end

--- Lets a step that has ended be done once more: the next `submit` or `step` under its name.
---@param name string
---@return boolean|nil ok
---@return table|nil err
function Run:retry(name)
  return decide(self, "retry", name, nil, function(attempt)
    return not attempt.to and "has not ended"
  end)
end

--- Forgets a step in whatever state; a task that exists on the server goes on there.
---@param name string
---@return boolean|nil ok
---@return table|nil err
function Run:forget(name) return decide(self, "forgotten", name) end

--- Says which task an unknown submit became; with the id that is known already, that the task is
--- to be looked for at whatever server the script uses now.
---@param name string
---@param id integer|string the task's id
---@return boolean|nil ok
---@return table|nil err
function Run:resolve(name, id)
  options.argument("resolve", "id", id, "text|integer")
  return decide(self, "accepted", name, { id = id, handle = { id = id } }, function(attempt)
    local known = attempt.handle and tostring(attempt.handle.id) ~= tostring(id)
    return (known or not attempt.key) and "is no unknown submit"
  end)
end

--- What the journal knows.
---@return table[] steps {name=, kind=, state=, id=, attempts=, value=, err=, started=, ended=};
---  kind: "job" or "step"
function Run:steps() return run_state.list(self.ledger) end

--- Writes the run's picture; reads the journal alone.
---@param path string
---@param opts table|nil overwrite (false: an existing file is an error), durable (the file is
---  synced before it gets its name; default: in plain scripts)
---@return boolean|nil ok
---@return table|nil err
function Run:svg(path, opts) return require("taskclient.report").svg(self, path, opts) end

--- Writes the run's picture, with its steps as a table, as a page.
---@param path string
---@param opts table|nil overwrite (false: an existing file is an error), durable (the file is
---  synced before it gets its name; default: in plain scripts)
---@return boolean|nil ok
---@return table|nil err
function Run:html(path, opts) return require("taskclient.report").html(self, path, opts) end

--- The run as aligned text for a terminal.
---@return string
function Run:table() return require("taskclient.report").table(self) end

function Run:__tostring()
  return string.format("run %s (%d steps)", self.path, #self.ledger.order)
end

--- Ends the writing; the run can be opened again.
---@return boolean|nil ok
---@return table|nil err
function Run:close()
  note(self, "closed")
  return self.journal:close()
end
Run.__close, Run.__gc = Run.close, Run.close

return M
