-- The job console of examples/nginx in a real browser: submit, live log and
-- progress, rows by pages, abort; in light and dark. Leaves its pictures in
-- build/console-*.png.

local browser = require "spec.support.browser"
local cjson = require "cjson"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local LONG = [[seq 1 9 | while read i; do echo "step $i of many"; sleep 0.2; done; sleep 60]]
local ROWS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 60) "
  .. "select i, 'row ' || i as name, case when i % 5 = 0 then null else i * 1.5 end as amount "
  .. "from n"

describe("the job console", function()
  local console, url, page

  setup(function()
    if not browser.here() then return end
    console = process.start({ "lua5.4", "examples/nginx/serve.lua", "0" },
      { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    url = wait.eventually(function()
      return console:out():match "http://%S+/"
    end, 20, "the console's address")
    wait.eventually(function()
      return os.execute("curl -s -o /dev/null " .. url)
    end, 20, "the console")
  end)

  teardown(function()
    if console then
      console:signal "TERM"
      console:stop()
    end
  end)

  after_each(function()
    if page then page:stop() end
    page = nil
  end)

  local function submit(kind, code)
    local before = page:eval "document.getElementById('task').textContent"
    page:fill("#kind", kind)
    page:fill("#code", code)
    page:click "#go"
    return page:await(("(t => t != %q && t)(document.getElementById('task').textContent)")
      :format(before or ""))
  end

  local function state() return page:eval "document.getElementById('state').textContent" end

  -- What the console answers to a spec that comes without a browser.
  local function post(spec)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(cjson.encode(spec))
    file:close()
    local pipe = assert(io.popen(("curl -s -H 'Content-Type: application/json' -d @%s %sapi/jobs")
      :format(path, url)))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(path)
    return cjson.decode(text)
  end

  it("takes long code, and says what is wrong with a spec", function()
    if not url then return pending "no chromium here" end
    local spec = { code = "select 1 -- " .. ("x"):rep(40000), run_type = "sql",
      engine = "spark-3.2.1" }
    assert.is_number(post(spec).id)
    spec.engine = nil
    assert.matches("'engine' is missing", post(spec).error)
  end)

  local function walk(scheme)
    page = browser.start { dark = scheme == "dark" }
    page:open(url)
    assert.equal(scheme == "dark",
      page:eval "matchMedia('(prefers-color-scheme: dark)').matches")

    submit("shell|shell-1", LONG)
    page:await "document.getElementById('log').textContent.includes('step 3 of many')"
    assert.equal("running", state())
    page:screenshot("build/console-running-" .. scheme .. ".png")
    page:eval "location.reload()" -- takes the same task up again, from its first line
    page:await "document.getElementById('log').textContent.includes('step 4 of many')"
    local log = page:eval "document.getElementById('log').textContent"
    assert.equal(1, select(2, log:gsub("\nstep 1 of many", "")))
    page:click "#abort"
    page:await "document.getElementById('state').textContent == 'cancelled'"

    local id = submit("sql|spark-3.2.1", ROWS)
    page:await(("document.body.dataset.ended == '%s'"):format(id))
    assert.equal("succeeded", state())
    page:await "!document.getElementById('results').hidden"
    assert.equal(26, page:eval "document.querySelectorAll('#rows tr').length")
    assert.equal("NULL", page:eval "document.querySelectorAll('#rows tr')[5].cells[2].textContent")
    page:click "#next"
    page:await "document.querySelector('#rows td').textContent == '26'"
    page:click "#next"
    page:await "document.querySelector('#rows td').textContent == '51'"
    assert.equal(11, page:eval "document.querySelectorAll('#rows tr').length")
    assert.is_true(page:eval "document.getElementById('next').disabled")
    page:screenshot("build/console-rows-" .. scheme .. ".png")

    submit("sql|spark-3.2.1", "select * from no_such_table")
    page:await "document.getElementById('state').textContent == 'failed'"
    page:await "document.getElementById('why').textContent.includes('no_such_table')"
    assert.is_true(page:eval "document.documentElement.scrollWidth <= innerWidth")
    page:screenshot("build/console-failed-" .. scheme .. ".png")
  end

  for _, scheme in ipairs { "light", "dark" } do
    it("submits, shows log and rows, aborts: " .. scheme, function()
      if not browser.here() then return pending "no chromium here" end
      walk(scheme)
    end)
  end
end)
