-- The journal of a durable run as a file that things happen to: power failures, torn ends, lines
-- that are missing, doubled or swapped, files of somebody else. On stand-ins for disk and servers.

local fakes = require "spec.support.workflow_fakes"
local core = require "taskclient.core"

describe("the journal of a run", function()
  local runs, wait, linkis, lindorm, server, load_server

  local function crash() fakes.disk.locked = {} end
  local function text() return fakes.disk.files["a.run"] end
  local function put(content)
    crash()
    fakes.disk.files["a.run"] = content
  end

  before_each(function()
    fakes.install()
    runs = require "taskclient.run"
    wait = require "taskclient.workflow.wait"
    server, load_server = fakes.server "linkis", fakes.server "lindorm"
    linkis, lindorm = fakes.client(server), fakes.client(load_server)
    linkis.url, lindorm.url = "http://a", "http://b"
  end)

  -- Opening gives an err of kind "io", and leaves the file as it is: the err's text.
  local function refused(content, why)
    put(content)
    for _, read_only in ipairs { true, false } do
      local fine, run, err = pcall(runs.open, "a.run", { read_only = read_only })
      assert.is_true(fine, why .. ": " .. tostring(run))
      assert.is_nil(run, why)
      assert.are.equal("io", err.kind, why)
      assert.are.equal(content, text(), why)
      crash()
    end
  end

  local function lines_of(content)
    local list = {}
    for line in content:gmatch "[^\n]+\n" do list[#list + 1] = line end
    return list
  end

  -- A run of some length, that ends with a step's value.
  local function whole()
    local run = assert(runs.open "a.run")
    wait.wait(assert(run:submit("x", linkis, { code = "a" })))
    assert(run:step("y", function() return { rows = 3 } end))
    run:close()
    run = assert(runs.open "a.run")
    assert(run:submit("z", lindorm, { src = "b" }))
    assert(run:step("end", function() return 1 end))
    crash()
    return text()
  end

  describe("after a power failure", function()
    local function fail()
      fakes.disk.power_failure()
      return assert(runs.open "a.run")
    end

    it("has a load that went out, so that nobody loads it twice", function()
      local run = assert(runs.open "a.run")
      load_server.before_submit = function() error "the power fails" end
      assert.is_false(pcall(run.submit, run, "load", lindorm, { src = "a" }))
      load_server.before_submit = nil
      local job, err = fail():submit("load", lindorm, { src = "a" })
      assert.is_nil(job)
      assert.are.equal("submit_unknown", err.kind)
      assert.are.equal(1, load_server.submits)
    end)

    it("has the id of a load that was accepted, which nothing else knows", function()
      assert(assert(runs.open "a.run"):submit("load", lindorm, { src = "a" }))
      assert.are.equal("proc-1", assert(fail():submit("load", lindorm, { src = "a" })).id)
      assert.are.equal(1, load_server.submits)
    end)

    it("has the intent of a submit before it goes out", function()
      local run = assert(runs.open "a.run")
      local seen
      server.before_submit = function() seen = fakes.disk.synced["a.run"] end
      assert(run:submit("x", linkis, { code = "a" }))
      assert.matches('"what":"intent"', seen, 1, true)
      assert.are.equal(1, assert(fail():submit("x", linkis, { code = "a" })).id)
      assert.are.equal(1, server.submits)
    end)

    it("has the value of a step that is done, and does it no second time", function()
      local done = 0
      local function work()
        done = done + 1
        return done
      end
      assert.are.equal(1, assert(runs.open "a.run"):step("a", work))
      assert.are.equal(1, fail():step("a", work))
    end)

    it("has what a person decided", function()
      assert(assert(runs.open "a.run"):submit("load", lindorm, { src = "a" }))
      local run = fail()
      wait.wait(assert(run:submit("load", lindorm, { src = "a" })))
      assert(run:retry "load")
      assert.are.equal("proc-2", assert(fail():submit("load", lindorm, { src = "a" })).id)
      assert(fail():forget "load")
      assert.are.equal("proc-3", assert(fail():submit("load", lindorm, { src = "a" })).id)
      load_server.after_submit = function() error "killed" end
      assert.is_false(pcall(fakes.disk.power_failure) and pcall(function()
        assert(runs.open "a.run"):submit("other", lindorm, {})
      end))
      assert(fail():resolve("other", "proc-9"))
      assert.are.equal("proc-9", assert(fail():submit("other", lindorm, {})).id)
    end)

    it("is the same run, whose keys the server knows", function()
      local run = assert(runs.open "a.run")
      assert.are.equal(run.ledger.id, fail().ledger.id)
    end)
  end)

  it("opens with a torn end of any length", function()
    local good = whole()
    for _, n in ipairs { 1, 300, 80000, 4000000 } do
      put(good .. '{"at":1795312235.5,"value":"' .. ("x"):rep(n))
      local started = core.now()
      assert(runs.open("a.run", { read_only = true }))
      assert(runs.open "a.run")
      assert.is_true(core.now() - started < 60) -- by a quadratic search it would be hours
      assert.are.equal(good, text():sub(1, #good))
    end
  end)

  it("refuses a line that is missing, wherever", function()
    local lines = lines_of(whole())
    for i = 1, #lines - 1 do -- without its last line it is a journal of a moment before
      refused(table.concat(lines, "", 1, i - 1) .. table.concat(lines, "", i + 1),
        "without line " .. i)
    end
  end)

  it("refuses a line that is doubled, and two that are swapped", function()
    local lines = lines_of(whole())
    for i = 1, #lines do
      refused(table.concat(lines, "", 1, i) .. table.concat(lines, "", i), "line twice: " .. i)
      refused(table.concat(lines) .. lines[i]:sub(1, -2), "once more at the end: " .. i)
      for j = i + 1, #lines do
        local swapped = { unpack = nil, (table.unpack or unpack)(lines) } -- luacheck: ignore
        swapped[i], swapped[j] = swapped[j], swapped[i]
        refused(table.concat(swapped), ("swapped: %d and %d"):format(i, j))
      end
    end
  end)

  local function sealed(body)
    return body:sub(1, -2) .. ',"crc":"' .. core.crc32(body) .. '"}\n'
  end

  it("goes on with a journal of the first version, whose lines bear no number", function()
    local old = whole():gsub('"n":%d+,', ""):gsub(',"crc":"%x+"}', "}"):gsub("[^\n]+\n",
      function(line) return sealed(line:sub(1, -2)) end)
    put(old)
    local run = assert(runs.open "a.run")
    assert.are.equal("proc-1", assert(run:submit("z", lindorm, { src = "b" })).id)
    assert.are.equal(3, run:step("y", error).rows)
    run:close()
    run = assert(runs.open "a.run")
    assert.are.equal(1, run:step("end", error))
    local lines = lines_of(old)
    for _, what in ipairs { "intent", "begun", "run" } do -- without numbers, what has no beginning
      for i, line in ipairs(lines) do
        if line:find('"what":"' .. what .. '"', 1, true) then
          refused(table.concat(lines, "", 1, i - 1) .. table.concat(lines, "", i + 1), what)
        end
      end
    end
  end)

  it("refuses records whose members are not what they should be", function()
    local first = sealed '{"at":1795312234.5,"id":"00112233445566aa","what":"run"}'
    for _, body in ipairs {
      '{"at":1,"step":"load","what":"sending"}',
      '{"at":1,"id":"00112233445566ab","what":"run"}',
      '{"at":"1","what":"closed"}',
      '{"at":1e300,"what":"closed"}',
      '{"at":-1e300,"what":"closed"}',
      '{"what":"closed"}',
      '{"at":1}',
      '{"at":1,"what":7}',
      '{"at":1,"step":7,"what":"begun"}',
      '{"at":1,"what":"begun"}',
      '{"at":1,"key":7,"step":"a","what":"intent"}',
      '{"at":1,"key":"k","attempt":2,"step":"a","what":"intent"}',
      '{"at":1,"key":"k","spec":"x","step":"a","what":"intent"}',
      '{"at":1,"key":"k","spec":{"a":{}},"step":"a","what":"intent"}',
      '{"at":1,"step":"a","what":"retry"}',
      '{"at":1,"step":"a","what":"done"}',
    } do
      refused(first .. sealed(body), body)
    end
    local begun = first .. sealed '{"at":1,"key":"k","step":"a","what":"intent"}'
    for _, body in ipairs {
      '{"at":1,"handle":"x","id":1,"step":"a","what":"accepted"}',
      '{"at":1,"handle":{"id":{}},"id":1,"step":"a","what":"accepted"}',
      '{"at":1,"handle":{"id":1,"url":1},"id":1,"step":"a","what":"accepted"}',
      '{"at":1,"handle":{"id":1},"step":"a","what":"accepted"}',
      '{"at":1,"state":7,"step":"a","what":"state"}',
      '{"at":1,"state":"failed","log":[{}],"step":"a","what":"ended"}',
      '{"at":1,"state":"failed","err":{},"step":"a","what":"ended"}',
    } do
      refused(begun .. sealed(body), body)
    end
  end)

  it("leaves alone what a later version may have written", function()
    local run = assert(runs.open "a.run")
    assert(run.journal:write { at = 1795312235, what = "reviewed", by = { "me" } })
    crash()
    assert.are.equal(1, assert(runs.open "a.run"):step("a", function() return 1 end))
  end)

  it("does not begin anew in silence where it is cut inside of its first record", function()
    local run = assert(runs.open "a.run")
    assert(run:submit("load", lindorm, { src = "a" }))
    local first = lines_of(text())[1]
    for n = 1, #first - 2 do refused(first:sub(1, n), n .. " bytes") end
    put(first:sub(1, -2)) -- its newline alone is mended: no piece is missing
    assert.are.equal(run.ledger.id, assert(runs.open "a.run").ledger.id)
  end)

  it("is made with its first record in it, so that a crash leaves none that is cut", function()
    fakes.disk.before_write = function() error "killed" end
    assert(runs.open "a.run")
    assert.are.equal(1, #lines_of(text()))
    assert.are.equal(text(), fakes.disk.synced["a.run"])
  end)

  it("begins in a file that is there already, and empty", function()
    put ""
    assert.are.equal(1, assert(runs.open "a.run"):step("a", function() return 1 end))
    assert.are.equal(1, select(2, text():gsub('"what":"run"', "")))
    crash()
    assert.are.equal(1, assert(runs.open "a.run"):step("a", error))
  end)

  it("refuses what another program or an editor has made of it", function()
    local good = whole()
    refused("\239\187\191" .. good, "BOM")
    refused((good:gsub("\n", "\r\n")), "CRLF")
    refused(good:gsub("\n", "\n\n", 1), "a blank line")
    refused(good .. "\n", "a blank line at its end")
    refused(("\0"):rep(4096), "zeros")
    refused('{"a":1}\n', "JSON lines of another program")
    refused("hello", "text")
    put(good .. ("\0"):rep(4096)) -- what some file systems leave of a write after a power failure
    assert(runs.open "a.run")
    assert.are.equal(good, text():sub(1, #good))
  end)

  it("refuses a step's value that is too long to be read each time", function()
    local run = assert(runs.open "a.run")
    local ok, why = pcall(run.step, run, "a", function() return ("x"):rep(2 ^ 24 + 1) end)
    assert.is_false(ok)
    assert.matches("write it to a file and give its path", why, 1, true)
    assert.are.equal("failed", run:steps()[1].state)
  end)

  describe("at another server", function()
    local other

    before_each(function()
      other = fakes.client(fakes.server "linkis")
      other.url = "http://other"
    end)

    local function raises(client, spec)
      local run = assert(runs.open "a.run")
      local ok, why = pcall(run.submit, run, "x", client, spec)
      assert.is_false(ok)
      assert.matches("has another spec than in the journal", why, 1, true)
      assert.are.equal(0, client.server.submits)
      crash()
      return why
    end

    it("takes no load for one of its own, and tells of the address", function()
      assert(assert(runs.open "a.run"):submit("x", lindorm, { src = "a" }))
      crash()
      local there = fakes.client(fakes.server "lindorm")
      there.url = "http://there"
      assert.matches("url: was http://b, is http://there", raises(there, { src = "a" }), 1, true)
      assert(assert(runs.open "a.run"):resolve("x", "proc-1")) -- the same server at a new address
      crash()
      assert.are.equal("proc-1", assert(assert(runs.open "a.run"):submit("x", there,
        { src = "a" })).id)
      assert.are.equal(0, there.server.submits)
    end)

    it("makes no second task of a submit that was cut off at the first", function()
      server.after_submit = function() error "killed" end
      assert.is_false(pcall(function()
        assert(runs.open "a.run"):submit("x", linkis, { code = "a" })
      end))
      crash()
      assert.matches("url: was http://a, is http://other", raises(other, { code = "a" }), 1, true)
      other.server.tasks, other.server.order = server.tasks, server.order -- one and the same
      assert.are.equal(1, assert(assert(runs.open "a.run"):submit("x", other, { code = "a" })).id)
      assert.are.equal(0, other.server.submits)
    end)

    it("submits what never went out at the first", function()
      fakes.disk.before_write = function(line)
        if line:find '"what":"sending"' then error "killed" end
      end
      assert.is_false(pcall(function()
        assert(runs.open "a.run"):submit("x", linkis, { code = "a" })
      end))
      fakes.disk.before_write = nil
      crash()
      assert.are.equal(1, assert(assert(runs.open "a.run"):submit("x", other, { code = "a" })).id)
      assert.are.equal(0, server.submits)
    end)

    it("takes no task of one kind of server for one of the other", function()
      assert(assert(runs.open "a.run"):submit("x", linkis, { code = "a" }))
      crash()
      lindorm.url = "http://a"
      assert.matches("service: was linkis, is lindorm", raises(lindorm, { code = "a" }), 1, true)
    end)
  end)

  describe("and a step", function()
    local function first_of(...)
      local run = assert(runs.open "a.run")
      local n, values = select("#", ...), { ... }
      local function work() return (table.unpack or unpack)(values, 1, n) end -- luacheck: ignore
      local value, err = run:step("a", work)
      crash()
      local state = run:steps()[1].state
      fakes.disk.files["a.run"] = nil
      return value, err, state
    end

    it("is done without a value only where its function returns nothing at all", function()
      assert.are.same({ true, nil, "succeeded" }, { first_of() })
      for n = 1, 2 do
        local value, err, state
        if n == 1 then
          value, err, state = first_of(nil)
        else
          value, err, state = first_of(nil, nil)
        end
        assert.is_nil(value)
        assert.are.equal("step", err.kind)
        assert.matches("step 'a' is not done", err.message)
        assert.are.equal("failed", state)
      end
    end)

    it("has failed where parentheses drop the err of what it saved", function()
      local run = assert(runs.open "a.run")
      local function save() return nil, "no space left" end
      assert.is_nil((run:step("a", function() return (save()) end)))
      crash()
      assert.are.equal(7, assert(runs.open "a.run"):step("a", function() return 7 end))
    end)

    it("takes false for a value, and false with a reason for a failure", function()
      assert.are.same({ false, nil, "succeeded" }, { first_of(false) })
      local value, err, state = first_of(pcall(error, "no", 0))
      assert.are.same({ nil, "no", "failed" }, { value, err, state })
    end)

    it("writes down what an error table of the user's says, whatever its members are", function()
      local run = assert(runs.open "a.run")
      assert.is_nil((run:step("a", function()
        return nil, { kind = print, code = { print }, message = "x" }
      end)))
      assert.are.equal("x", run:steps()[1].err.message)
    end)
  end)

  it("tells a changed spec at once, however many stars its code has", function()
    local banner = "/" .. ("*"):rep(60) .. "/ select count(id) from orders where day = "
    assert(assert(runs.open "a.run"):submit("x", linkis, { code = banner .. "1" }))
    crash()
    local run = assert(runs.open "a.run")
    local count = 0
    debug.sethook(function()
      count = count + 1
      if count > 1000 then error "this takes too long" end
    end, "", 1000)
    local ok, why = pcall(run.submit, run, "x", linkis, { code = banner .. "2" })
    debug.sethook()
    assert.is_false(ok)
    assert.matches("has another spec than in the journal", why, 1, true)
  end)

  it("compares what is hidden by what stands around it", function()
    local tell = require("taskclient.run.fingerprint").tell
    for _, same in ipairs { { "a *** b", "a secret b" }, { "***", "x" }, { "a***", "ab" },
      { "x***y***z", "x1y2z" }, { "/*****/ 1", "/*****/ 1" } } do
      assert.is_nil(tell({ code = same[1] }, { code = same[2] }))
      assert.is_nil(tell({ code = same[2] }, { code = same[1] }))
    end
    for _, different in ipairs { { "a *** b", "a secret c" }, { "a***", "b" }, { "***a", "b" },
      { "x***y", "x" }, { "xy***yz", "xyz" }, { "**", "x" } } do
      assert.is_string(tell({ code = different[1] }, { code = different[2] }))
    end
  end)
end)
