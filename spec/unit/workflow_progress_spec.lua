-- The progress bar and the printer of events, on a stream that only remembers.

local fakes = require "spec.support.workflow_fakes"

describe("the progress bar", function()
  local progress, written, stream

  before_each(function()
    fakes.install()
    package.loaded["taskclient.ui.progress"] = nil
    progress = require "taskclient.ui.progress"
    written = {}
    stream = { write = function(_, ...) for i = 1, select("#",
      ...) do written[#written + 1] = (select(i, ...)) end end,
      flush = function() end }
  end)

  local function text() return table.concat(written) end

  local function job(n)
    return setmetatable({}, { __tostring = function() return "linkis job " .. n
      .. " (running, 4%)" end })
  end

  local function report(state, fraction, done, total)
    return { state = state, fraction = fraction, done = done or 0, total = total or 1,
      elapsed = 0 }
  end

  it("writes plain lines where there is no terminal, at changes only", function()
    local bar = progress.bar { stream = stream }
    local one = job(7)
    for i = 1, 5 do
      bar(one, report("running", i / 10))
      fakes.clock = fakes.clock + 1
    end
    bar(one, report("succeeded", 1, 1))
    assert.are.equal("linkis job 7  10%  running  0s\nlinkis job 7 100%  succeeded  5s\n", text())
    assert.is_nil(text():find "\27")
  end)

  it("begins anew with the next wait it is given to", function()
    local bar, next_job = progress.bar { stream = stream }, job(8)
    bar(job(7), report("succeeded", 1, 1))
    fakes.clock = fakes.clock + 60
    bar(next_job, report("running", 0, 0, 2))
    bar(next_job, report("succeeded", 1, 1, 2))
    bar(job(9), report("succeeded", 1, 2, 2))
    assert.are.equal("linkis job 7 100%  succeeded  0s\n0/2 jobs   0%  1 running  0s\n"
      .. "2/2 jobs 100%  2 succeeded  0s\n", text())
  end)

  it("says while the server gives no answer, and why", function()
    local bar, one = progress.bar { stream = stream }, job(7)
    local silent = report("running", 0.5)
    silent.err = fakes.new_error("network", "refused")
    bar(one, report("running", 0.5))
    for _ = 1, 5 do
      fakes.clock = fakes.clock + 1
      bar(one, silent)
    end
    bar(one, report("running", 0.6))
    assert.are.equal("linkis job 7  50%  running  0s\n"
      .. "linkis job 7  50%  running  1s  no answer: network\n"
      .. "linkis job 7  60%  running  5s  about 3s left\n", text())
  end)

  it("tells since when there is no answer, and which one came in its place", function()
    local bar = progress.bar { stream = stream }
    local silent = report("running", 0.5)
    silent.err, silent.silent = fakes.new_error("http", "moved", { http_status = 301 }), 125
    bar(job(7), silent)
    assert.matches("running  0s  no answer for 2:05: http 301\n$", text())
  end)

  it("leaves a job that was stopped or failed where it was", function()
    local bar = progress.bar { stream = stream }
    bar(job(7), report("running", 0.3))
    fakes.clock = fakes.clock + 9
    bar(job(7), report("cancelled", 1, 1))
    assert.matches("linkis job 7  30%%  cancelled  9s\n$", text())
    bar = progress.bar { stream = stream }
    bar(job(8), report("failed", 1, 1))
    assert.matches("linkis job 8  failed  0s\n$", text())
  end)

  it("lets a label give way, and no label break the line", function()
    progress.bar { stream = stream, width = 40, color = false, ascii = true,
      label = ("long "):rep(20) }(job(7), report("running", 0.5))
    assert.matches("50%%", text())
    assert.matches("running", text())
    local bar = progress.bar { stream = stream, width = 60, color = false, ascii = true,
      label = "load\norders\27[2J" }
    bar(job(7), report("running", 0.5))
    assert.matches("load\\norders%?%[2J", text())
    bar:print "\27[31mred\27[2J"
    assert.matches("\27%[31mred %[2J\27%[0m\n", text())
  end)

  it("counts places, not letters, of a label", function()
    local bar = progress.bar { stream = stream, width = 40, label = ("汉"):rep(9) .. "😀" }
    bar(job(1), report("running", 0.5))
    local pretty = require "taskclient.text.table"
    assert.is_true(pretty.width((text():gsub("\27%[[%dmKJA]*", ""))) < 40)
  end)

  it("counts a job that is tried again once", function()
    local bar = progress.bar { stream = stream }
    bar(job(1), report("failed", nil, 1, 2))
    bar(job(2), report("succeeded", 1, 1, 2))
    bar(job(3), report("succeeded", 1, 2, 2))
    assert.matches("2/2 jobs 100%%  2 succeeded, 1 retried  0s\n$", text())
  end)

  it("is silent with quiet", function()
    progress.bar { stream = stream, quiet = true }(job(1), report("running", 0.5))
    assert.are.equal("", text())
  end)

  it("stays within the width of the terminal, whatever it is", function()
    for _, ascii in ipairs { true, false } do
      for width = 10, 200, 19 do
        local bar = progress.bar { stream = stream, width = width, color = false, ascii = ascii }
        local jobs = {}
        for i = 1, 40 do
          jobs[i] = job(i)
          bar(jobs[i], report("running", i / 50, 0, 40))
          fakes.clock = fakes.clock + 1
        end
        for line in text():gsub("\27%[%d*[AJ]", ""):gmatch "[^\r\n]+" do
          local _, n = line:gsub("[^\128-\191]", "")
          assert.is_true(n < width, n .. " in " .. width .. ": " .. line)
        end
        written = {}
      end
    end
  end)

  it("counts many jobs", function()
    local bar = progress.bar { stream = stream, width = 100, color = false, ascii = true }
    local jobs = { job(1), job(2), job(3), job(4) }
    bar(jobs[1], report("running", 0.5, 0, 4))
    bar(jobs[2], report("failed", 1, 1, 4))
    fakes.clock = fakes.clock + 1
    bar(jobs[3], report("running", 0.5, 1, 4))
    assert.matches("1/4 jobs .* 50%%  2 running, 1 failed", text())
    for i = 1, 4 do bar(jobs[i], report("succeeded", 1, i == 4 and 4 or 3, 4)) end
    assert.matches("4/4 jobs .* 100%%.*\n$", text())
  end)

  it("tells an estimate only when it means something", function()
    local bar = progress.bar { stream = stream, width = 100, color = false }
    local one = job(1)
    bar(one, report("running", 0.5))
    assert.is_nil(text():find "left")
    fakes.clock = fakes.clock + 30
    bar(one, report("running", 0.5))
    assert.matches("about 30s left", text())
    written = {}
    fakes.clock = fakes.clock + 30
    bar(one, report("running", nil))
    assert.is_nil(text():find "left")
  end)

  it("prints a line above itself", function()
    local bar = progress.bar { stream = stream, width = 60, color = false, ascii = true }
    bar(job(1), report("running", 0.5))
    written = {}
    bar:print("a log line")
    assert.matches("^\r\27%[Ja log line\nlinkis job 1", text())
    written = {}
    bar:finish()
    bar:print("after")
    assert.matches("\nafter\n$", text())
  end)

  it("colours where wanted only", function()
    progress.bar { stream = stream, width = 80, color = true }(job(1), report("running", 0.5))
    assert.matches("\27%[36m", text())
    assert.is_false(pcall(progress.bar, { colour = true }))
  end)
end)

describe("the printer of events", function()
  it("gives one line per event, from a level on", function()
    fakes.install()
    package.loaded["taskclient.ui.printer"] = nil
    local lines = {}
    local log = require("taskclient.ui.printer").new { level = "info",
      write = function(l) lines[#lines + 1] = l end }
    log("debug", { what = "call" })
    log("warn", { what = "retry", operation = "get", job_id = 7, seconds = 0.25,
      reason = "two words\n" })
    assert.are.equal(1, #lines)
    assert.matches("warn  retry operation=get job_id=7 seconds=0.250 reason=\"two words \"$",
      lines[1])
  end)
end)
