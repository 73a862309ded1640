-- Wrong arguments: what is said about them, and at whose line.

local core = require "taskclient.core"
local options = require "taskclient.options"
local taskclient = require "taskclient"

local SCHEMA = { timeout = "duration", code = "!text", size = "count", pick = "string|table" }

local function complaint(given) return options.complaint(given, SCHEMA, "option") end

describe("option tables", function()
  it("pass when each is of its type", function()
    assert.is_nil(complaint { timeout = 0.5, code = "x", size = 1, pick = {} })
    assert.is_nil(complaint { code = "x", pick = "a" })
  end)

  it("name the nearest known name", function()
    assert.equals("unknown option 'tiemout'; did you mean 'timeout'?",
      complaint { code = "x", tiemout = 1 })
    assert.matches("known: code, pick, size, timeout", complaint { code = "x", elephants = 1 })
    assert.matches("did you mean 'timeout'", complaint { code = "x", socketTimeoutMs = 1 })
    assert.matches("did you mean 'code'", complaint { executionCode = "x" })
    assert.matches("a name expected, got number", complaint { "x" })
  end)

  it("do not show a secret that is a number", function()
    assert.equals("option 'password': non-empty string expected, got number",
      options.complaint({ password = 123456 }, { password = "text" }, "option"))
  end)

  it("say what is missing", function()
    assert.equals("option 'code' is missing", complaint {})
  end)

  local WRONG = {
    { "timeout", 0 / 0 }, { "timeout", -1 }, { "timeout", "1" }, { "timeout", {} },
    { "code", "" }, { "code", 1 }, { "size", 0 }, { "size", 1.5 }, { "size", math.huge },
    { "pick", true }, { "pick", print },
  }
  for _, case in ipairs(WRONG) do
    it(("refuse %s = %s"):format(case[1], type(case[2])), function()
      local given = { code = "x" }
      given[case[1]] = case[2]
      assert.matches(("^option '%s': .* expected, got "):format(case[1]), complaint(given))
    end)
  end

end)

describe("a proxy", function()
  it("is a URL of a kind that is known, or the environment's", function()
    for _, proxy in ipairs { "env", "http://proxy:3128", "HTTPS://u:p@proxy/",
      "socks5h://[::1]:1" } do
      assert(taskclient.linkis { url = "http://127.0.0.1:1", proxy = proxy }):close()
    end
  end)
end)

describe("a secret in plain HTTP", function()
  local function client(opts)
    opts.user = opts.user or "a"
    return taskclient.linkis(opts)
  end

  -- url, proxy
  local OPEN = {
    { "http://10.0.0.1:9001" }, { "http://127.evil.example" }, { "http://127.0.0.1.evil.com:9001" },
    { "http://localhost.evil" }, { "http://[::2]:9001" }, { "HTTP://linkis" },
    { "http://127.0.0.1:9001", "http://10.0.0.1:3128" },
    { "http://127.0.0.1:9001", "http://127.0.0.1:x@10.0.0.1:3128" },
    { "http://[::1]:9001", "socks5h://proxy:1080" },
  }
  local CLOSED = {
    { "https://10.0.0.1:9001" }, { "http://127.1:9001" }, { "http://0x7f.1/" },
    { "http://[::1]:9001" }, { "http://[::ffff:127.0.0.1]" }, { "http://LOCALHOST:9001" },
    { "http://2130706433:9001/x" }, { "http://127.0.0.1:9001", "http://u:p@[::1]:3128" },
    { "https://127.0.0.1:9001", "http://10.0.0.1:3128" },
  }

  for what, secret in pairs {
    ["a password"] = { password = "p" }, ["a token"] = { token = "t" },
    ["a cookie"] = { cookies = { ticket = "c" } },
    ["a secret header"] = { headers = { { "X-Key", core.secret "h" } } },
  } do
    it("is told, or refused, by the addresses it goes to: " .. what, function()
      local told
      local function opts(case, allowed)
        told = false
        local out = { url = case[1], proxy = case[2], allow_plaintext = allowed,
                      log = function(_, event) told = told or event.what == "plaintext" end }
        for name, value in pairs(secret) do out[name] = value end
        return out
      end
      for _, case in ipairs(OPEN) do
        local ok, err = pcall(client, opts(case, false))
        assert.is_false(ok, case[1])
        assert.truthy(tostring(err):find("over http", 1, true), err)
        client(opts(case)):close()
        assert.is_true(told, case[1])
      end
      for _, case in ipairs(CLOSED) do
        client(opts(case, false)):close()
        assert.is_false(told, case[1])
      end
    end)
  end
end)

describe("a wrong argument", function()
  local linkis = assert(taskclient.linkis { url = "http://127.0.0.1:1" })
  local lindorm = assert(taskclient.lindorm { url = "http://127.0.0.1:1" })
  local job, load = linkis:attach(1), lindorm:attach "proc-1"
  local run = assert(taskclient.journal(os.tmpname()))
  teardown(function()
    run:close()
    os.remove(run.path)
  end)

  it("is an id that this Lua would round", function()
    for _, id in ipairs { "9007199254740993", "999999999999999999", 2 ^ 53 } do
      local fine, made = pcall(linkis.attach, linkis, id)
      assert.equal(math.tointeger ~= nil, fine)
      if fine then assert.equal("linkis job " .. ("%d"):format(id), tostring(made)) end
    end
    assert.equal("linkis job 9007199254740991", tostring(linkis:attach(2 ^ 53 - 1)))
  end)

  local WRONG = { -- what is called, and what its complaint must say
    { "linkis { ulr = 1 }", "unknown option 'ulr'; did you mean 'url'?",
      function() taskclient.linkis { ulr = 1 } end },
    { "linkis { headers }", "a header value with a control character",
      function() taskclient.linkis { url = "http://a", headers = { a = "b\r\nc" } } end },
    { "linkis { token } with its newline", "option 'token': no control characters",
      function() taskclient.linkis { url = "http://a", user = "u", token = "code\n" } end },
    { "linkis { user }", "option 'user': no control characters",
      function() taskclient.linkis { url = "http://a", user = "u\r\nX: y", token = "code" } end },
    { "linkis { proxy }", "option 'proxy': 'env' or a URL as",
      function() taskclient.linkis { url = "http://a", proxy = "ENV" } end },
    { "lindorm { proxy }", "option 'proxy': 'env' or a URL as",
      function() taskclient.lindorm { url = "http://a", proxy = "ftp://proxy:1" } end },
    { "linkis { version }", "a version such as '1.8.0' expected",
      function() taskclient.linkis { url = "http://a", version = "new" } end },
    { "lindorm { states }", "maps the server's words",
      function() taskclient.lindorm { url = "http://a", states = { A = "done" } } end },
    { "lindorm.csv", "field 'columns' is missing", function() taskclient.lindorm.csv {} end },
    { "lindorm.table", "lindorm.table", function() taskclient.lindorm.table { table = "t" } end },
    { "run:submit { key }", "field 'key' is the run's own", function()
      run:submit("a", linkis, { code = "x", run_type = "sql", engine = "spark-3", key = "k" })
    end },
    { "run:step", "a step's value must be what JSON can hold",
      function() run:step("b", function() return print end) end },
    { "submit()", "spec: table expected, got nothing", function() linkis:submit() end },
    { "submit by a dot", "is it called as client:submit?", function()
      linkis.submit { code = "x", run_type = "sql", engine = "spark-3" }
    end },
    { "submit: a field", "unknown field 'cod'; did you mean 'code'?",
      function() linkis:submit { cod = 1 } end },
    { "submit: an option", "unknown option 'adpot'; did you mean 'adopt'?", function()
      linkis:submit({ code = "x", run_type = "sql", engine = "spark-3" }, { adpot = 1 })
    end },
    { "lindorm submit", "field 'instances' is missing",
      function() lindorm:submit { src = "a", dst = "b", reader = {}, writer = {} } end },
    { "attach()", "id or handle: .* got nothing", function() linkis:attach() end },
    { "attach: an id", 'task id or handle expected, got "%.%./x"',
      function() linkis:attach "../x" end },
    { "attach: an id with a fraction", 'whole number', function() linkis:attach(1.5) end },
    { "attach: an id beyond 64 bits", "task id or handle expected",
      function() linkis:attach "9223372036854775808" end },
    { "attach: a handle of the other server", 'expected, got "proc%-1"',
      function() linkis:attach(load:handle()) end },
    { "call: an operation", "no operation 'statsu'", function() linkis:call("statsu", {}) end },
    { "call: an argument", "'id' is missing", function() linkis:call("get", {}) end },
    { "list", "unknown option 'sicne'", function() linkis:list { sicne = 1 } end },
    { "states", "jobs%[1%]: a job of this client", function() linkis:states { load } end },
    { "wait", "unknown option 'timeuot'", function() job:wait { timeuot = 1 } end },
    { "wait: a word", "'leave', 'abort' or a function expected, got 'kill'",
      function() job:wait { on_interrupt = "kill" } end },
    { "wait without a job", "is it called as job:wait?", function() job.wait() end },
    { "wait_all: a nil among the jobs", "jobs%[1%]: a job expected, got nothing",
      function() taskclient.wait_all { nil, job } end },
    { "as_completed", "jobs: table expected, got 5", function() taskclient.as_completed(5) end },
    { "logs", "unknown option 'folow'; did you mean 'follow'?",
      function() job:logs { folow = true } end },
    { "error", "info: table expected", function() job:error(5) end },
    { "submit_many", "specs: table or function expected, got 5",
      function() linkis:submit_many(5) end },
    { "submit_many: an option", "did you mean 'active'?",
      function() linkis:submit_many({}, { activ = 1 }) end },
    { "finish", "on_end: function expected", function() linkis:submit_many({}):finish(5) end },
    { "run:submit: no client", "client: a client expected, got nil",
      function() run:submit "load" end },
    { "run:submit: no spec", "spec: table expected, got nothing",
      function() run:submit("load", linkis) end },
    { "run:step", "name: non%-empty string expected, got 5", function() run:step(5, print) end },
    { "run:resolve", "id: .* got nothing", function() run:resolve "load" end },
    { "run:html", "path: non%-empty string expected, got nothing", function() run:html() end },
    { "progress.bar", "did you mean 'color'?",
      function() taskclient.progress.bar { colour = true } end },
    { "printer", "unknown level 'loud'", function() taskclient.printer { level = "loud" } end },
    { "sleep", "seconds, not negative expected, got %-1", function() taskclient.sleep(-1) end },
    { "sandbox.start", "did you mean '1.9'?",
      function() require("taskclient.sandbox").start { version = "9" } end },
  }
  for _, case in ipairs(WRONG) do
    it("is told of at the user's own line: " .. case[1], function()
      local ok, told = pcall(function()
        case[3]() -- a level too far would be here
      end)
      assert.is_false(ok)
      local info = debug.getinfo(case[3], "S")
      local line = tonumber(told:match "options_spec%.lua:(%d+): ")
      assert(line and line >= info.linedefined and line <= info.lastlinedefined, told)
      assert.matches(case[2], told)
    end)
  end
end)

describe("URLs", function()
  it("pass with a scheme, a host, a port, a prefix", function()
    for _, url in ipairs { "http://a", "https://a:9001", "HTTP://a/prefix/", "http://[::1]:80" } do
      assert.is_nil(options.url_complaint(url))
    end
  end)

  local WRONG = {
    ["http://u:p@host"] = "credentials", ["http://u@host"] = "credentials",
    ["gateway:9001"] = "http://", ["ftp://a"] = "ftp", ["http://"] = "host", ["http://:1"] = "host",
    ["http://a b"] = "blanks", ["http://a\r\nX: y"] = "blanks", ["http://a?x=1"] = "query",
    ["http://a/#f"] = "fragment", [""] = "http://",
  }
  for url, word in pairs(WRONG) do
    it(("refuses %q"):format(url), function()
      assert.matches(word, options.url_complaint(url))
    end)
  end

  it("refuses what is no text, and does not show a password", function()
    assert.matches("string expected", options.url_complaint(nil))
    assert.is_nil(options.url_complaint("http://u:geheim@host"):find "geheim")
  end)
end)
