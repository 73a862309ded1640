-- What ends the reading of a log that is followed, and what does not: the log cursor against a
-- server made of the log model, on a clock that only sleeping moves.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local log_server = require "spec.support.log_server"
local logs = require "taskclient.linkis.logs.cursor"
local request = require "taskclient.rpc.request"

local answers = log_server.answers

describe("a log that is followed", function()
  local server, job, send, now, get

  setup(function()
    send, now, get = request.send, core.now, answers.get
    core.now = function() return log_server.clock end
    request.send = function(_, ...) return log_server.sent(server, ...) end
  end)
  teardown(function() request.send, core.now, answers.get = send, now, get end)
  before_each(function()
    answers.get = get
    server = log_server.new()
    job = log_server.job(server)
    server:add(5)
  end)

  local function open(opts)
    opts = opts or {}
    opts.follow = true
    return logs.open(job, opts)
  end

  local function rest(cursor)
    local lines = {}
    while true do
      local line, err = cursor:read()
      if not line then return lines, err end
      lines[#lines + 1] = line
    end
  end

  local function fails_for(seconds, err)
    local from
    server.fail = function()
      from = from or log_server.clock
      if log_server.clock - from < seconds then return err end
      server:finish()
      server.fail = nil
    end
  end

  it("outlives what may pass, as long as it takes", function()
    for _, err in ipairs {
      failure.new("network", "refused", { retryable = true }),
      failure.new("http", "a page", { http_status = 404, shape = "html", retryable = false }),
      failure.new("http", "moved", { http_status = 301, retryable = false }),
      failure.new("auth", "a page", { http_status = 401, shape = "html", answered_before = true,
        retryable = false }),
      failure.new("tls", "expired", { retryable = false, answered_before = true }),
    } do
      server = log_server.new()
      job = log_server.job(server)
      server:add(5)
      fails_for(1500, err)
      local lines, why = rest(open())
      assert.is_nil(why)
      assert.are.same(server.log.file, lines)
    end
  end)

  it("says by an event that nothing is heard", function()
    local events = {}
    local client = assert(core.client("linkis", { url = "http://127.0.0.1:9",
      fields = { host = core.fields(job.client).host, service = "linkis", log = true } },
      { trace = function(_, level, event) events[#events + 1] = level .. " " .. event.what end }))
    job = core.job(client, {}, { id = log_server.TASK, client = client })
    fails_for(600, failure.new("network", "refused", { retryable = true }))
    rest(open())
    assert.are.same({ "warn no news", "warn no news" }, events)
  end)

  it("ends at once by what the user alone can mend", function()
    for _, err in ipairs { failure.new("auth", "who?"), failure.new("closed", "closed"),
      failure.new("tls", "unknown issuer", { retryable = false }) } do
      server.fail = function() return err end
      local began = log_server.clock
      local line, why = open():read()
      assert.is_nil(line)
      assert.are.equal(err.kind, why.kind)
      assert.are.equal(began, log_server.clock)
    end
  end)

  it("ends soon for a task that never was, later for one that was there", function()
    local gone = failure.new("service", "The corresponding job was not found",
      { shape = "linkis", http_status = 400, retryable = false })
    for _, known in ipairs { false, true } do
      local cursor = open()
      if known then assert(cursor:read()) end
      server.fail = function() return failure.copy(gone) end
      local began = log_server.clock
      local _, err = rest(cursor)
      local took = log_server.clock - began
      assert.is_true(err.vanished)
      assert.matches("not found; said %d+ times in %d+ s", err.message)
      assert.is_true(took >= (known and 60 or 10) and took < (known and 100 or 20), took)
      server.fail = nil
    end
  end)

  it("takes no record of another task for its own", function()
    answers.get = function(self)
      return true, "Succeed", self.exec, self.path, nil, nil, nil, 99
    end
    server.tick = function(n)
      if n == 5 then answers.get = get end
      if n == 8 then server:finish() end
    end
    assert.are.same(server.log.file, rest(open()))
    assert.are.equal("Succeed", server.status)
  end)

  it("finds the file, though its address is not known for a moment and memory is gone", function()
    local cursor = open()
    cursor:read()
    server:finish()
    server.refuse_log = failure.new("service", "The job you just executed has ended.",
      { http_status = 400, retryable = false })
    server.refuse_file = failure.new("http", "a page", { http_status = 404, shape = "html",
      retryable = false })
    server.tick = function(n) if n == 2 then server.refuse_file = nil end end
    local lines, err = rest(cursor)
    assert.is_nil(err)
    assert.are.equal(#server.log.file - 1, #lines)
  end)

  it("can be read on after a timeout, for as long again", function()
    local cursor = open { timeout = 30 }
    local lines, err = rest(cursor)
    assert.are.equal(5, #lines)
    assert.are.equal("timeout", err.kind)
    local began = log_server.clock
    server:add(1)
    assert.are.equal("line 6", (cursor:read()))
    lines, err = rest(cursor)
    assert.are.same({ 0, "timeout" }, { #lines, err.kind })
    local took = log_server.clock - began
    assert.is_true(took >= 29 and took < 35, took)
    server:finish()
    lines, err = rest(cursor)
    assert.is_nil(err)
    assert.are.equal(6 + #lines, #server.log.file)
  end)

  it("keeps its requests within its time, also where the entrance is asked briefly", function()
    local limits = {}
    local sent = request.send
    request.send = function(client, operation, args, opts)
      limits[#limits + 1] = { operation, opts and opts.deadline }
      return sent(client, operation, args, opts)
    end
    server:finish()
    server.changed = core.time() * 1000
    rest(open { timeout = 5 })
    request.send = sent
    assert.is_true(#limits >= 3)
    for _, limit in ipairs(limits) do assert.is_number(limit[2], limit[1]) end
  end)

  it("gives each line a note of the reader's own", function()
    server:finish()
    local cursor, seen = open(), {}
    local line, note = cursor:read()
    while line do
      assert.is_nil(note.seen)
      note.seen = true
      assert.is_nil(seen[note])
      seen[note] = true
      line, note = cursor:read()
    end
  end)
end)
