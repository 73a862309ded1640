-- The picture of a run: well formed, escaped, complete, from the journal alone.

local fakes = require "spec.support.workflow_fakes"

describe("the picture of a run", function()
  local runs, wait, many, linkis, server

  before_each(function()
    fakes.install()
    for name in pairs(package.loaded) do
      if name:find "^taskclient%.report" then package.loaded[name] = nil end
    end
    runs, wait = require "taskclient.run", require "taskclient.workflow.wait"
    many = require "taskclient.workflow.submit_many"
    server = fakes.server "linkis"
    linkis = fakes.client(server)
  end)

  local function drawn(run, what)
    local path = os.tmpname()
    assert(run[what](run, path))
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    os.remove(path)
    return text
  end

  local ENTITIES = { amp = true, lt = true, gt = true, quot = true }

  local function code_at(text, at)
    local a, b, c, d = text:byte(at, at + 3)
    if a < 0xE0 then return (a - 0xC0) * 64 + b - 0x80 end
    if a < 0xF0 then return (a - 0xE0) * 4096 + (b - 0x80) * 64 + c - 0x80 end
    return (a - 0xF0) * 262144 + (b - 0x80) * 4096 + (c - 0x80) * 64 + d - 0x80
  end

  -- Whether each character is one that XML 1.0 may hold.
  local function characters(text)
    assert.is_nil(text:find "[%z\1-\8\11\12\14-\31]")
    local rest = text:gsub("[\194-\223][\128-\191]", "")
      :gsub("[\224-\239][\128-\191][\128-\191]", "")
      :gsub("[\240-\244][\128-\191][\128-\191][\128-\191]", "")
    assert.is_nil(rest:find "[\128-\255]")
    for at in text:gmatch "()[\194-\244][\128-\191]+" do
      local code = code_at(text, at)
      assert.is_true(code >= 0x80 and code < 0xD800 or code >= 0xE000 and code <= 0xFFFD
        or code >= 0x10000 and code <= 0x10FFFF, ("U+%04X"):format(code))
    end
  end

  -- Every element that is opened is closed, nothing else stands in between, and no text is markup.
  local function well_formed(svg)
    local open = {}
    characters(svg)
    for name in svg:gmatch "&([^;]*;?)" do
      assert.is_true(ENTITIES[name:sub(1, -2)] and name:sub(-1) == ";", "&" .. name)
    end
    local rest = svg:gsub("<(/?)([%a]+)([^<>]-)(/?)>", function(close, name, attributes, self)
      if close == "/" then
        assert.are.equal(table.remove(open), name)
      elseif self ~= "/" then
        open[#open + 1] = name
      end
      assert.matches("^%s*$", (attributes:gsub('%s[%w:-]+="[^"<]*"', "")))
      return ""
    end)
    assert.is_nil(rest:find "[<>]") -- what is left is text
    assert.are.equal(0, #open)
    assert.is_nil(svg:find "nan" or svg:find "inf[^o]" or svg:find '="%-')
  end

  local function example()
    server.plan = function(n, spec)
      return { state = n == 1 and "failed" or "succeeded", run = 5, code = spec.code == "bad"
        and 60002 or nil,
        log = { "first", "boom <&> \1" } }
    end
    local run = assert(runs.open "a.run")
    local job = assert(run:submit("extract <1> & \"2\"", linkis, { code = "bad" }))
    wait.wait(job)
    run:retry "extract <1> & \"2\""
    wait.wait(assert(run:submit("extract <1> & \"2\"", linkis, { code = "bad" })))
    run:step("save", function() return 1 end)
    pcall(run.step, run, "check", function() error "does not add up" end)
    return run
  end

  it("is well formed whatever stands in it", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local odd = { table.concat(bytes), "\239\191\190 \239\191\191", "\237\160\128\237\191\191",
      "\240\159\191\190", "\244\144\128\128", "\192\128", "\224\128\128", "汉\230\177",
      "]]>", "<!--", "&amp", "\"'><script>alert(1)</script>", "\194\133" }
    local run = assert(runs.open "a.run")
    for i, text in ipairs(odd) do
      local step = "step " .. i
      run:step(step, function() return 1 end) -- takes less than a millisecond
      -- a journal holds no text but UTF-8; the picture relies on nothing
      local last = run.ledger.order[#run.ledger.order]
      last.name = text
      last.attempts[1].state = i % 2 == 0 and text or "failed"
      last.attempts[1].id, last.attempts[1].native = text, text
      last.attempts[1].err, last.attempts[1].log = { message = text, code = text }, { text }
    end
    run.path = odd[1]:gsub("%z", "")
    local svg = drawn(run, "svg")
    well_formed(svg)
    characters(drawn(run, "html"))
    assert.is_nil(drawn(run, "html"):find("<script", 1, true))
    assert.matches("&lt; 1 ms", svg, 1, true)
    assert.matches("&lt;script&gt;", svg, 1, true)
  end)

  it("tells what has no answer to its submit from what was not sent", function()
    local run = assert(runs.open "a.run")
    local seen
    server.before_submit = function(spec)
      if spec.code == "1" then seen = run:table() end
    end
    many.submit_many(linkis, { { code = "1" }, { code = "2" } }, { journal = run }):finish()
    assert.matches("2 steps: 1 to be submitted, 1 submit unanswered", seen, 1, true)
    assert.matches("submit_many 1 +submit unanswered.*submit_many 2 +to be submitted", seen)
  end)

  it("is drawn for a run that goes on, has died, has ended, is empty", function()
    local run = example()
    well_formed(drawn(run, "svg"))
    fakes.disk.locked = {}
    fakes.clock = fakes.clock + 9000
    run = assert(runs.open "a.run")
    run:step("later", function() fakes.host.sleep(3) end)
    local svg = drawn(run, "svg")
    well_formed(svg)
    assert.matches("resumed after a crash", svg)
    assert.matches("2 h 30 min later", svg)
    run:close()
    well_formed(drawn(run, "svg"))
    well_formed(drawn(assert(runs.open "empty.run"), "svg"))
  end)

  it("shows attempts, errors and the log's last lines, escaped", function()
    local run = example()
    local svg, html = drawn(run, "svg"), drawn(run, "html")
    for _, text in ipairs { svg, html } do
      assert.matches("boom &lt;&amp;&gt;", text, 1, true)
      assert.matches("code 60002", text, 1, true)
      assert.matches("does not add up", text, 1, true)
      assert.matches("prefers-color-scheme:dark", text, 1, true)
      assert.is_nil(text:find "https?://[^w]")
      assert.is_nil(text:find "\1")
    end
    assert.matches("1 retried", svg, 1, true)
  end)

  it("leaves out what went well when there are too many steps", function()
    server.plan = function(n) return { state = n == 900 and "failed" or "succeeded", run = 1 } end
    local specs = {}
    for i = 1, 1000 do specs[i] = { code = "x" .. i } end
    local run = assert(runs.open "b.run")
    many.submit_many(linkis, specs, { journal = run, active = 100 }):finish()
    local svg = drawn(run, "svg")
    well_formed(svg)
    assert.matches("submit_many 900", svg, 1, true)
    assert.matches("and 600 more steps", svg, 1, true)
  end)

  it("has a form for the terminal", function()
    local text = example():table()
    assert.matches("3 steps: 2 succeeded, 1 failed; 1 retried", text, 1, true)
    assert.matches("check +failed .*does not add up", text)
  end)

  it("is of use for wide names, milliseconds, retries after a pause, nothing at all", function()
    local run = assert(runs.open "c.run")
    assert.matches("nothing has been done yet", drawn(run, "svg"), 1, true)
    assert.are.equal("0 steps", run:table())
    run:step(("汉"):rep(30), function() fakes.host.sleep(0.012) end)
    run:step("again", function() return nil, "no\nstack traceback:" end)
    local svg = drawn(run, "svg")
    assert.matches(">" .. ("汉"):rep(11) .. "…" .. ("汉"):rep(5) .. "<", svg, 1, true)
    assert.matches(">12 ms<", svg, 1, true)
    assert.matches(">10 ms<", svg, 1, true) -- on the axis
    fakes.clock = fakes.clock + 90000
    run:step("other", function() fakes.host.sleep(2) end)
    run:retry "again"
    package.loaded["taskclient.run"] = nil
    fakes.disk.locked = {}
    run = assert(require("taskclient.run").open "c.run")
    run:step("again", function() fakes.host.sleep(7) end)
    svg = drawn(run, "svg")
    assert.matches(">7.0 s<", svg, 1, true)
    assert.matches("to %d%d%d%d%-%d%d%-%d%d, %d%d:", svg) -- another day
    assert.matches("again +succeeded +2 +[%d:]+ +7.0 s", run:table())
  end)

  it("is drawn for a moment's work that was taken up a while later", function()
    for _, pause in ipairs { 300.3, 4000.25, 1e5 } do
      local name = pause .. ".run"
      assert(runs.open(name)):step("a", function() fakes.host.sleep(0.3) end)
      fakes.disk.locked, fakes.clock = {}, fakes.clock + pause
      local run = assert(runs.open(name))
      run:step("b", function() fakes.host.sleep(0.31) end)
      local svg = drawn(run, "svg")
      well_formed(svg)
      assert.matches(pause < 3600 and ">5:00.%d<" or ">%d+:%d%d:%d%d.%d<", svg)
    end
  end)

  it("says why a file cannot be written", function()
    assert.are.equal("io", select(2, example():svg "/nowhere/x.svg").kind)
  end)
end)
