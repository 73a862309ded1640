-- Every secret a client or a spec is given, against a server that says each of them back in all it
-- answers: none may stand in what is printed, traced, written down or drawn.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local process = require "spec.support.process"
local taskclient = require "taskclient"

local SECRETS = {
  password = "Canary-Passw/1", token = "Canary=Token&2", header = "CanaryHeader3",
  cookie = "CanaryCookie4", proxy_code = "CanaryCode5", key_password = "CanaryKeyPw6",
  startup = "CanaryStartup7", number = 8374920188, short = "q9z", code = "CanaryCode9",
  cookie_header = "CanaryCookie10",
}

-- as they are, percent-encoded, with \/ and \u003d, as entities
local function said()
  local parts = {}
  for _, value in pairs(SECRETS) do
    local text = tostring(value)
    parts[#parts + 1] = text
    parts[#parts + 1] = text:gsub("[^%w]", function(c) return ("%%%02x"):format(c:byte()) end)
    parts[#parts + 1] = text:gsub("/", "\\/"):gsub("=", "\\u003d"):gsub("&", "\\u0026")
    parts[#parts + 1] = text:gsub("&", "&amp;")
  end
  return "said: " .. table.concat(parts, " ")
end

local function hidden_in(where, text, but)
  text = tostring(text)
  for name, value in pairs(SECRETS) do
    value = tostring(value)
    if not (but and but[name]) then
      assert.is_nil(text:find(value, 1, true), ("%s in %s:\n%s"):format(name, where, text))
      if value:find "%W" then
        for _, form in ipairs { (value:gsub("[^%w]", function(c)
          return ("%%%02x"):format(c:byte())
        end)), (value:gsub("/", "\\/"):gsub("=", "\\u003d"):gsub("&", "\\u0026")) } do
          assert.is_true(form == value or not text:find(form, 1, true), name .. " in " .. where)
        end
      end
    end
  end
end

-- What of a spec is secret, the client does not know.
local OF_SPEC = { startup = true, number = true, short = true, code = true }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

describe("no secret", function()
  local fs, dir, events, log
  setup(function()
    fs, dir = fault.start(), process.tempdir()
  end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)
  before_each(function()
    events = {}
    log = taskclient.printer { level = "debug", write = function(line)
      events[#events + 1] = line
    end }
  end)

  local function client_of(more)
    local opts = { user = "hadoop", headers = { Authorization = "Bearer " .. SECRETS.header,
      Cookie = "a=b; JSESSIONID=" .. SECRETS.cookie_header },
      cookies = { sid = SECRETS.cookie }, key_password = SECRETS.key_password, log = log }
    for name, value in pairs(more) do opts[name] = value end
    return linkis.client(fs, opts)
  end

  it("comes back in an err of a login, a read or a submit", function()
    for _, more in ipairs { { password = SECRETS.password }, { token = SECRETS.token },
      { token = SECRETS.token, token_login = true },
      { password = SECRETS.password, proxy_user = "ada", proxy_code = SECRETS.proxy_code } } do
      fs:script { { match = ".", reply = fault.linkis("{}", { status = 1, http = 500,
        message = said() }) } }
      events = {}
      local client = client_of(more)
      -- of those that this client was given
      local but = { password = not more.password, token = not more.token,
        proxy_code = not more.proxy_code }
      for name in pairs(OF_SPEC) do but[name] = true end
      for _, ask in ipairs {
        function() return client:call("get", { id = "12" }, { retry = false }) end,
        function() return client:submit(linkis.shell("x", { timeout = 2 })) end,
        function() return client:whoami() end,
      } do
        local _, err = ask()
        while type(err) == "table" do
          for name, value in pairs(err) do
            if type(value) ~= "table" then hidden_in("err." .. name, value, but) end
          end
          hidden_in("tostring(err)", err, but)
          err = err.cause
        end
      end
      hidden_in("the trace", table.concat(events, "\n"), but)
      hidden_in("the client", client, but)
      client:close()
    end
  end)

  it("stands in a journal, a picture, a record, a handle or a job", function()
    local record = { status = "Failed", errDesc = said(), executionCode = said(), taskID = 12 }
    fs:script {
      { match = "/submit", reply = linkis.accepted(12) },
      { match = "/jobhistory/list", reply = linkis.list {} },
      linkis.get(record), linkis.open_log { "2026-01-01 00:00:00.000 ERROR " .. said() },
      default = { { "read" }, { "send", fault.boot(404) } },
    }
    local client = client_of { token = SECRETS.token }
    local but = { password = true, proxy_code = true }
    local path = dir .. "/a.run"
    local run = assert(taskclient.journal(path))
    local job = assert(run:submit("load", client, linkis.shell(
      "mysql --password " .. SECRETS.code, { startup = { ["db.password"] = SECRETS.startup },
        runtime = { ["db.token"] = SECRETS.number, pin = SECRETS.short } })))
    local state, _, err = job:wait { timeout = 20, poll = 0.05 }
    assert.equal("failed", state)
    assert(run:html(dir .. "/a.html"))
    assert(run:svg(dir .. "/a.svg"))
    -- the spec's own are known to its run; the code's to whoever reads "--password"
    local of_log = { password = true, proxy_code = true, code = true }
    for _, name in ipairs { "/a.run", "/a.html", "/a.svg" } do
      hidden_in(name, read(dir .. name), of_log)
    end
    assert.is_truthy(read(path):find("mysql --password ***", 1, true))
    hidden_in("run:table()", run:table(), of_log)
    for name in pairs(OF_SPEC) do but[name] = true end
    hidden_in("err of the wait", err, but)
    hidden_in("job:error()", job:error(), but)
    hidden_in("the log of job:error()", table.concat(job:error().log, "\n"), but)
    hidden_in("a printed record", assert(job:info()), but)
    hidden_in("the job", job, but)
    hidden_in("the handle", cjson.encode(job:handle()), but)
    hidden_in("the trace", table.concat(events, "\n"), but)
    client:close()
  end)
end)
