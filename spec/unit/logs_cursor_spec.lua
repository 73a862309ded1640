-- The log cursor against a server made of the log model: what it asks for, what
-- it makes of each answer, and that over the whole it gives the file's lines.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local logs = require "taskclient.linkis.logs.cursor"
local request = require "taskclient.rpc.request"
local cjson = require "cjson"
local log_model = require "spec.support.log_model"
local log_server = require "spec.support.log_server"

local unpack = table.unpack or unpack -- luacheck: ignore 113 143

local OTHER = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_shell_7"
local CLOSING = "INFO Congratulations. Your job completed with status Success. "
local NULL_EXEC = "exec_id018014linkis-cg-entrance127.0.0.1:9104null"
local new_server, job_of, answers = log_server.new, log_server.job, log_server.answers

local function service_error(message, code)
  return failure.new("service", message, { code = code, http_status = 400, retryable = false })
end

local function read_all(cursor)
  local lines, notes = {}, {}
  while true do
    local line, note = cursor:read()
    if not line then return lines, note, notes end
    lines[#lines + 1], notes[#notes + 1] = line, note
  end
end

local function count(list, wanted)
  local n = 0
  for _, item in ipairs(list) do
    if item == wanted then n = n + 1 end
  end
  return n
end

-- What one list has more of than the other: { text = difference }.
local function difference(a, b)
  local d = {}
  for _, line in ipairs(a) do d[line] = (d[line] or 0) + 1 end
  for _, line in ipairs(b) do d[line] = (d[line] or 0) - 1 end
  for line, n in pairs(d) do
    if n == 0 then d[line] = nil end
  end
  return d
end

local function same_lines(expected, cursor)
  local lines, err, notes = read_all(cursor)
  assert.is_nil(err)
  assert.are.same({}, difference(lines, expected.log.file))
  return lines, notes
end

local function same_order(expected, cursor)
  local lines, notes = same_lines(expected, cursor)
  for i, line in ipairs(expected.log.file) do assert.are.equal(line, lines[i]) end
  return lines, notes
end

describe("job:logs", function()
  local server, send, now

  setup(function()
    send, now = request.send, core.now
    core.now = function() return log_server.clock end
  end)
  teardown(function() request.send, core.now = send, now end)

  before_each(function()
    server = new_server()
    request.send = function(_, operation, args) return log_server.sent(server, operation, args) end
  end)

  local function open(opts) return logs.open(job_of(server), opts) end

  describe("of an ended job", function()
    it("is the file, line for line", function()
      server:add(1203)
      server:finish()
      local _, notes = same_order(server, open())
      assert.is_nil(notes[1].late)
      assert.are.same({ "get", "openLog" }, server.asked)
    end)

    it("has each empty line as often as the file, also where openLog doubles none", function()
      for _, text in ipairs { "", "a", "", "b", "", "" } do server.log:add(text) end
      server:add(1200)
      server:finish()
      for _, single in ipairs { false, true } do
        server.single = single
        same_order(server, open())
      end
      assert.are.equal(4, count(server.log.file, ""))
    end)

    it("is nothing for a job that was refused before it had a log", function()
      server:finish "Failed"
      server.path, server.exec = core.null, core.null
      assert.are.same({}, (read_all(open())))
    end)

    it("waits for a file that comes late", function()
      server:add(3)
      server:finish()
      server.refuse_file = service_error "IOException: path … not exists."
      server.tick = function(n) if n == 3 then server.refuse_file = nil end end
      same_order(server, open())
    end)

    it("waits for the last lines of a file, of which the entrance may say nothing", function()
      for _, early in ipairs { 0, 20, 31 } do -- lines that the file has at first
        server = new_server()
        server:add(1, "INFO Job with jobId : 12 and execID : x submitted ")
        server:add(30)
        server:add(1, CLOSING)
        server:finish()
        server.changed = os.time() * 1000
        local whole = server.log.file
        server.log.file = { unpack(whole, 1, early) }
        server.refuse_log = service_error "no such job"
        server.tick = function(n) if n == 2 then server.log.file = whole end end
        same_order(server, open())
        assert.are.equal(3, count(server.asked, "openLog"))
      end
    end)

    it("is read once where its last line is there, or its end is long ago", function()
      for _, changed in ipairs { os.time() * 1000, 1 } do
        server = new_server()
        server:add(1, "INFO Job with jobId : 12 and execID : x submitted ")
        if changed > 1 then server:add(1, CLOSING) end
        server:finish()
        server.changed = changed
        same_order(server, open())
        assert.are.same({ "get", "openLog", changed > 1 and "log" or nil }, server.asked)
      end
    end)

    it("is known to be whole by a last line of any length, or an empty one", function()
      for last, looks in pairs { [("x"):rep(3000000)] = 2, [""] = 0, x = 0 } do
        server = new_server()
        server:add(1, "INFO Job with jobId : 12 and execID : x submitted ")
        server.log:add(CLOSING)
        server.log:add(last)
        server:finish()
        server.changed = os.time() * 1000
        same_order(server, open())
        assert.are.equal(looks, server.ticks) -- behind the long one nobody sees the closing line
      end
    end)

    it("waits for a file that is there and still empty", function()
      server:add(3)
      server:finish()
      server.log.file_text = function() return "" end
      server.tick = function(n) if n == 3 then server.log.file_text = nil end end
      same_order(server, open())
    end)

    -- history tells the end while the rest still is in the entrance's memory
    local function whole_of(entries)
      server:add(entries)
      server.status, server.changed = "Succeed", core.time() * 1000
      server.tick = function(n) if n == 2 then server:finish() end end
      same_order(server, open())
      assert.is_true(server.log.ended)
    end

    it("is whole also where history tells the end before the file has it", function()
      whole_of(1203)
      server = new_server()
      whole_of(500 * 40 + 10) -- fewer lines are missing than the entrance is behind
    end)

    it("does not wait for lines of another job that has its execID", function()
      server:add(1203)
      server:finish()
      server.changed = core.time() * 1000
      local other = log_model.new { base = 1 }
      other:add "2026-11-22 01:46:49.046 INFO Job with jobId : 13 and execID : x submitted "
      for i = 1, 1300 do other:add("other " .. i) end
      server.log.read = function(_, ...) return other:read(...) end
      same_order(server, open())
      assert.are.equal(0, server.ticks)
    end)

    it("is read in pages where the server refuses the file (80033)", function()
      server:add(12345)
      server:finish()
      server.refuse_file = service_error("the file is over 30 MB", 80033)
      same_order(server, open())
    end)

    it("is read in pages from a server that counts from 0", function()
      server = new_server { base = 0 }
      server:add(7000)
      server:finish()
      server.refuse_file = service_error("the file is over 30 MB", 80033)
      same_order(server, open())
    end)

    it("says what is missing when the entrance has forgotten the job", function()
      server:add(10)
      server:finish()
      server.refuse_file = service_error("the file is over 30 MB", 80033)
      server.refuse_log = service_error "The job you just executed has ended."
      local line, err = open():read()
      assert.is_nil(line)
      assert.are.equal("service", err.kind)
      assert.are.equal(80033, err.code)
      assert.is_truthy(err.message:find("lines from 1 on are missing", 1, true))
    end)

    it("calls no line missing that it gave while the job ran", function()
      server:add(10)
      local cursor = open { follow = true }
      assert.are.equal("line 1", (cursor:read()))
      server:finish()
      server.refuse_file = failure.new("http", "no such path", { http_status = 404 })
      server.refuse_log = service_error "The job you just executed has ended."
      local lines, err = read_all(cursor)
      local came = ("lines may be missing beside the %d that came"):format(#lines + 1)
      assert.is_truthy(err.message:find(came, 1, true), err.message)
    end)

    it("does not take another job's log for its own", function()
      server.log:add "2026-11-22 01:50:32.050 INFO Job with jobId : 99 and execID : x submitted "
      server:add(10)
      server:finish()
      server.refuse_file = service_error("the file is over 30 MB", 80033)
      local _, err = open():read()
      assert.is_truthy(err.message:find("another job", 1, true))
    end)

    it("goes by pages where the server has no openLog", function()
      server:add(700)
      server:finish()
      server.refuse_file = failure.new("http", "no such path", { http_status = 404 })
      same_order(server, open())
    end)

    it("goes by pages where openLog stays sick, and by the file once it is well", function()
      server:add(700)
      server:finish()
      local sick = failure.new("http", "Internal Server Error",
        { http_status = 500, retryable = true })
      server.refuse_file = sick
      same_order(server, open())

      server.refuse_log = service_error "The job you just executed has ended."
      local cursor = open()
      local line, err = cursor:read()
      assert.is_nil(line)
      assert.is_truthy(err.message:find("lines from 1 on are missing", 1, true))
      server.refuse_file = nil
      same_order(server, cursor)
    end)

    it("filters levels, with the lines below an entry", function()
      server.log:add "2026-11-22 01:50:32.050 INFO fine"
      server.log:add "2026-11-22 01:50:32.050 ERROR bad\n\tat somewhere"
      server.log:add "2026-11-22 01:50:32.050 WARN hm"
      server:finish()
      local lines = read_all(open { level = { "error", "warn" } })
      assert.are.equal(server.log.file[2], lines[1])
      assert.are.equal("\tat somewhere", lines[2])
      for _, line in ipairs(lines) do assert.is_nil(line:find "INFO") end
    end)

    it("goes on in another process, saved anywhere in it", function()
      server:add(5000)
      server:finish()
      for _, read in ipairs { 10, 999, 1000, 1001, 4999, 5000 } do
        local cursor, all = open(), {}
        for i = 1, read do all[i] = assert(cursor:read()) end
        local saved = cjson.decode(cjson.encode(cursor:save()))
        for _, line in ipairs((read_all(open { from = saved }))) do all[#all + 1] = line end
        assert.are.same(server.log.file, all)
      end
    end)

    it("begins at a line by number", function()
      server:add(9)
      server:finish()
      local lines = read_all(open { from = 8 })
      assert.are.same({ "line 8", "line 9" }, { lines[1], lines[2] })
    end)
  end)

  describe("with follow", function()
    local function busy_job(total, lump)
      server.tick = function()
        if server.status ~= "Running" then return end
        server:add(lump)
        if server.written >= total then server:finish() end
      end
    end

    it("gives over the whole exactly the file's lines", function()
      for _, profile in ipairs { { base = 1 }, { base = 0 }, { base = 1, thin = true } } do
        server = new_server(profile)
        busy_job(4000, 130)
        same_lines(server, open { follow = true })
        assert.is_true(count(server.asked, "openLog") <= 2)
      end
    end)

    it("marks what the live log never had", function()
      busy_job(2600, 700)
      local tick = server.tick
      server.tick = function(n)
        tick(n)
        if server.status ~= "Running" then server.refuse_log = service_error "has ended" end
      end
      local lines, _, notes = read_all(open { follow = true })
      local live, late = 0, 0
      for i in ipairs(lines) do
        if notes[i].late then late = late + 1 else live = live + 1 end
      end
      assert.is_true(live > 1500, live)
      assert.is_true(late > 0, late)
    end)

    it("goes on in another process from a saved cursor", function()
      for seed = 1, 30 do
        local random = log_model.random(seed * 7919)
        server = new_server { base = seed % 2 }
        busy_job(1500 + random(1500), random(200))
        local job, all = job_of(server), {}
        local cursor = logs.open(job, { follow = true })
        while true do
          local line = cursor:read()
          if not line then break end
          all[#all + 1] = line
          if random(400) == 1 then
            local saved = cjson.decode(cjson.encode(cursor:save()))
            cursor = logs.open(job, { follow = true, from = saved })
          end
        end
        assert.are.same({}, difference(server.log.file, all), "seed " .. seed)
      end
    end)

    it("keeps the file's order with exact", function()
      busy_job(3000, 250)
      same_order(server, open { follow = true, exact = true })
    end)

    it("checks the execID in job history before and after each page", function()
      server.status = "Inited"
      server.exec = NULL_EXEC
      busy_job(600, 200)
      server.before = function(operation, args)
        if operation == "log" then
          assert.are.equal(log_server.EXEC, args.id)
          local n = #server.asked
          assert.is_true(server.asked[n - 1] == "get" or server.asked[n - 2] == "get")
        end
      end
      local tick = server.tick
      server.tick = function(n)
        if n == 3 then server.exec, server.status = log_server.EXEC, "Running" end
        tick(n)
      end
      same_lines(server, open { follow = true })
    end)

    it("discards a page when the execID has changed under it", function()
      server:add(20)
      local pages = 0
      server.before = function(operation)
        if operation ~= "log" then return end
        pages = pages + 1
        if pages == 1 then server.exec = OTHER end
      end
      server.tick = function(n)
        if n == 4 then server:finish() end
      end
      local _, notes = same_order(server, open { follow = true })
      assert.are.equal(1, pages)
      assert.is_nil(notes[1].late)
    end)

    it("reads the file when lines have left the entrance's memory", function()
      server:add(700)
      server.tick = function(n)
        if n == 1 then
          server:add(400)
          server.log.read = function(_, from) return "", from end
        end
        if n == 12 then server:finish() end
      end
      same_lines(server, open { follow = true })
    end)

    it("reads the file when the entrance no longer knows the job", function()
      server:add(30)
      server.refuse_log = service_error "Can't find execID"
      server.tick = function(n) if n == 20 then server:finish() end end
      same_order(server, open { follow = true })
    end)

    it("asks for the file again while it lacks lines that came live", function()
      server:add(40)
      local file_text = server.log.file_text
      local early = true
      server.log.file_text = function(log)
        local text = file_text(log)
        return early and text:sub(1, 100) or text
      end
      server.tick = function(n)
        if n == 2 then server:finish() end
        if n == 6 then early = false end
      end
      same_lines(server, open { follow = true })
    end)

    it("waits for a late file also with a saved cursor", function()
      server:add(1300)
      local cursor = open { follow = true, exact = true }
      local all = { (cursor:read()) }
      local saved = cursor:save()
      server:finish()
      local file_text, early = server.log.file_text, true
      server.log.file_text = function(log)
        local text = file_text(log)
        return early and text:sub(1, 9000):match "^(.*\n)" or text
      end
      local ticks = server.ticks
      server.tick = function(n) if n == ticks + 2 then early = false end end
      for _, line in ipairs((read_all(open { follow = true, exact = true, from = saved }))) do
        all[#all + 1] = line
      end
      assert.are.same(server.log.file, all)
    end)

    it("asks again while the entrance knows more lines than the file", function()
      server:add(40)
      local memory = log_model.new { base = 1 }
      for i = 1, 45 do memory:add("line " .. i) end
      server.tick = function(n)
        if n == 1 then
          server.status = "Succeed"
          server.log:flush()
          server.log.read = function(_, from, size) return memory:read(from, size) end
        end
        if n == 4 then
          server.log.read = nil
          for i = 41, 45 do server.log:add("line " .. i) end
          server.log:finish()
        end
      end
      local lines = read_all(open { follow = true })
      assert.are.equal(1, count(lines, "line 45"))
    end)

    it("bears an outage, and tells of an error that will last", function()
      server:add(5)
      local outage = failure.new("network", "refused", { retryable = true })
      server.fail = function() return outage end
      server.tick = function(n)
        if n == 5 then server.fail = nil end
        if n == 8 then server:finish() end
      end
      same_order(server, open { follow = true })

      server = new_server()
      server.fail = function() return failure.new("auth", "who?", { retryable = false }) end
      local cursor = open { follow = true }
      local line, err = cursor:read()
      assert.is_nil(line)
      assert.are.equal("auth", err.kind)
      assert.has_error(function() for _ in cursor do end end, err)
    end)

    it("asks for shorter pages when they are too large", function()
      local sizes = {}
      server:add(50)
      server.before = function(operation, args)
        if operation == "log" then sizes[#sizes + 1] = args.size end
      end
      server.fail = function(operation)
        if operation == "log" and sizes[#sizes] > 2000 then
          return failure.new("too_large", "too large", { retryable = false })
        end
      end
      server.tick = function(n) if n == 3 then server:finish() end end
      same_lines(server, open { follow = true })
      assert.is_true(sizes[#sizes] <= 2000)
    end)

    it("ends in time", function()
      local _, err = open({ follow = true, timeout = 0 }):read()
      assert.are.equal("timeout", err.kind)
    end)

    it("gives what there is by poll, without waiting", function()
      server:add(10)
      local cursor = open { follow = true }
      local lines = {}
      for _ = 1, 4 do
        log_server.clock = log_server.clock + 1
        for _, line in ipairs(assert(cursor:poll())) do lines[#lines + 1] = line end
      end
      assert.are.equal(10, #lines)
      assert.are.equal(0, server.ticks)
      server:finish()
      repeat
        log_server.clock = log_server.clock + 1
        local more, err = cursor:poll()
        assert.is_nil(err)
      until not more
    end)
  end)

  it("without follow gives what a running job has, and ends", function()
    server:add(10)
    assert.are.equal(10, #read_all(open()))
    assert.is_true(server.ticks <= 2)
  end)

  it("without follow gives the file's part where the entrance has forgotten the job", function()
    server:add(700)
    server.refuse_log = service_error "Can't find execID"
    local lines, err = read_all(open())
    assert.is_nil(err)
    assert.are.same(server.log.file, lines)
    assert.is_true(#lines >= 500)
    server.refuse_file = service_error "IOException: path … not exists."
    lines, err = read_all(open())
    assert.are.equal(0, #lines)
    assert.are.equal(server.refuse_file, err)
  end)

  it("takes a notice of failover for no line of the log", function()
    server:add(20)
    local notice = 3
    answers.real_log = answers.log
    finally(function() answers.log, answers.real_log = answers.real_log, nil end)
    answers.log = function(self, args)
      notice = notice - 1
      if notice < 0 then return answers.real_log(self, args) end
      return { log = { core.null, core.null, "in failover", "in failover" }, fromLine = 0,
               execID = "", taskID = log_server.TASK }
    end
    server.tick = function(n) if n == 8 then server:finish() end end
    same_order(server, open { follow = true })
  end)

  it("works with the array form of the published page", function()
    answers.real_log = answers.log
    finally(function() answers.log, answers.real_log = answers.real_log, nil end)
    answers.log = function(_, args)
      local all = args.fromLine < 2 and "one\ntwo" or ""
      return { log = { "", "", "", all }, fromLine = args.fromLine < 2 and 2 or args.fromLine }
    end
    server.refuse_file = failure.new("http", "no such path", { http_status = 404 })
    server.tick = function(n) if n == 3 then server:finish() end end
    assert.are.same({ "one", "two" }, (read_all(open { follow = true })))
  end)

  it("refuses wrong arguments", function()
    local function raises(opts, text)
      local ok, err = pcall(open, opts)
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find(text, 1, true), tostring(err))
    end
    raises({ folow = true }, "did you mean 'follow'")
    raises({ level = "debug" }, "option 'level'")
    raises({ from = { version = 9 } }, "option 'from'")
    raises({ from = { version = 1, job_id = 13, state = {} } }, "another job")
  end)

  it("ends when closed", function()
    server:add(10)
    local cursor = open { follow = true }
    assert.is_truthy(cursor:read())
    cursor:close()
    assert.is_nil(cursor:read())
  end)
end)
