-- The picture of a run, looked at in a real browser where there is one: every text stands inside
-- the picture, none reaches into the next column, in light and in dark.

local fakes = require "spec.support.workflow_fakes"
local process = require "spec.support.process"

local _, browser = process.run { "sh", "-c",
  "command -v chromium || command -v chromium-browser" }
browser = browser:match "%S+"

-- Run inside the page: what is wrong goes into the title.
local PROBE = [[
<script>
const svg = document.querySelector("svg"), box = svg.viewBox.baseVal, wrong = [];
const texts = [...svg.querySelectorAll("text")].map(t => [t, t.getBBox()]);
for (const [t, b] of texts)
  if (!t.hasAttribute("transform") &&
      (b.x < 0 || b.x + b.width > box.width || b.y + b.height > box.height))
    wrong.push("outside: " + t.textContent);
for (const [t, b] of texts) for (const [u, c] of texts)
  if (t !== u && !t.hasAttribute("transform") && !u.hasAttribute("transform") &&
      b.x + 1 < c.x + c.width && c.x + 1 < b.x + b.width &&
      b.y + 4 < c.y + c.height && c.y + 4 < b.y + b.height)
    wrong.push("over each other: " + t.textContent + " | " + u.textContent);
const ink = getComputedStyle(svg.querySelector("text")).fill,
  paper = getComputedStyle(svg.querySelector(".bg")).fill;
document.title = "texts " + texts.length + " wrong [" + wrong.slice(0,
  3).join("; ") + "] ink " + ink + " paper " + paper;
</script>]]

describe("the picture of a run in a browser", function()
  local dir

  setup(function() dir = process.tempdir() end)
  teardown(function() os.execute("rm -rf " .. process.quote(dir)) end)

  local function example()
    fakes.install()
    local runs, wait = require "taskclient.run", require "taskclient.workflow.wait"
    local many = require "taskclient.workflow.submit_many"
    local server = fakes.server("linkis", function(n)
      return { queue = n * 7 % 5, run = 5 + n * 13 % 30, state = n % 9 == 4 and "failed"
        or "succeeded",
        log = { ("a long line "):rep(40), "Traceback" } }
    end)
    local linkis = fakes.client(server)
    local run = assert(runs.open "nightly.run")
    wait.wait(assert(run:submit(("a name that is much too long "):rep(3), linkis, {})))
    local specs = {}
    for i = 1, 60 do specs[i] = { code = "x" .. i } end
    many.submit_many(linkis, specs, { journal = run, active = 8, retry = 1 }):finish()
    fakes.disk.locked, fakes.clock = {}, fakes.clock + 20000
    run = assert(runs.open "nightly.run")
    run:step("check", function() fakes.host.sleep(30) end)
    local lindorm = fakes.client(fakes.server("lindorm", function() return { run = 4201 } end))
    wait.wait(assert(run:submit("load", lindorm, {})))
    -- as wide as both can be: 70 min 05 s, and a procId as they are
    run.ledger.steps.load.attempts[1].id = "proc-61-a7315f944877de898b0d2146a742469b"
    wait.wait(assert(run:submit("verify", linkis, {})), { timeout = 3 })
    return run
  end

  local function looked_at(path, scheme)
    local code, out, err = process.run({ browser, "--headless", "--no-sandbox", "--disable-gpu",
      "--user-data-dir=" .. dir .. "/profile", "--blink-settings=preferredColorScheme=" .. scheme,
      "--window-size=1200,900", "--dump-dom", "file://" .. path }, { timeout = 60 })
    assert(code == 0, err)
    return out:match "<title>(texts.-)</title>"
  end

  local test = browser and it or pending
  test("is legible in light and in dark", function()
    local path = dir .. "/run.html"
    assert(example():html(path))
    local file = assert(io.open(path, "a"))
    file:write(PROBE)
    file:close()
    local light, dark = looked_at(path, 1), looked_at(path, 0)
    assert.matches("wrong []", light, 1, true)
    assert.matches("wrong []", dark, 1, true)
    assert.is_true(tonumber(light:match "texts (%d+)") > 250)
    assert.matches("paper rgb(255, 255, 255)", light, 1, true)
    assert.matches("paper rgb(15, 20, 26)", dark, 1, true)
  end)
end)
