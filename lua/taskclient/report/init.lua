-- report.lua: the picture of a run, from its ledger alone: SVG, HTML and text.
-- One self-contained file, readable in light and dark. Knows steps and times;
-- no client, no server.
local core = require "taskclient.core"
local host = require "taskclient.host"
local options = require "taskclient.options"
local paint = require "taskclient.report.svg"
local text_table = require "taskclient.text.table"

local M = {}

local ROWS_MAX = 400 -- rows drawn; of longer runs, first what did not go well

-- Whether the submit is still on its way or was cut off, the journal does not know.
local LABELS = { refused = "not submitted", intended = "to be submitted",
  submitting = "submit unanswered" }

local function label(word)
  return LABELS[word] or word
end

local function bad(state)
  return state == "failed" or state == "refused" or state == "unknown" or state == "cancelled"
end

local function last_attempt(step)
  return step.attempts[#step.attempts]
end

local function sums(ledger)
  local counts = { retried = 0 }
  for _, step in ipairs(ledger.order) do
    local state = last_attempt(step).state
    counts[state] = (counts[state] or 0) + 1
    if #step.attempts > 1 then counts.retried = counts.retried + 1 end
  end
  return counts
end

local function plural(n, word)
  return n .. " " .. word .. (n == 1 and "" or "s")
end

-- "12 steps: 10 succeeded, 1 failed, 1 running; 2 retried; resumed once after a crash"
local function headline(ledger)
  local counts, list = sums(ledger), {}
  for _, state in ipairs { "succeeded", "failed", "cancelled", "running", "queued", "intended",
    "submitting", "unknown", "refused", "forgotten" } do
    if counts[state] then list[#list + 1] = counts[state] .. " " .. label(state) end
  end
  local text = plural(#ledger.order, "step") .. (#list > 0 and ": " .. table.concat(list, ", ")
    or "")
  if counts.retried > 0 then text = text .. "; " .. counts.retried .. " retried" end
  local crashes = 0
  for _, resumed in ipairs(ledger.resumed) do crashes = crashes + (resumed.crashed and 1 or 0) end
  local times = crashes == 1 and "once" or crashes .. " times"
  return crashes == 0 and text or text .. "; resumed " .. times .. " after a crash"
end

local function span(ledger)
  local from, to = ledger.at, ledger.last
  if not from then return "not begun" end
  local day, last_day = os.date("%Y-%m-%d", math.floor(from)), os.date("%Y-%m-%d", math.floor(to))
  return string.format("%s, %s to %s%s (%s)%s", day, paint.time(from),
    last_day == day and "" or last_day .. ", ", paint.time(to),
    paint.duration(to - from), ledger.closed and "" or ", not finished")
end

-- The steps to draw, in their order, and how many are left out.
local function chosen(ledger)
  local order = ledger.order
  if #order <= ROWS_MAX then return order, 0 end
  local keep, n = {}, 0
  for pass = 1, 2 do
    for _, step in ipairs(order) do
      local plain = last_attempt(step).state == "succeeded" and #step.attempts == 1
      if n < ROWS_MAX and not keep[step] and (pass == 2 or not plain) then keep[step], n = true,
        n + 1 end
    end
  end
  local rows = {}
  for _, step in ipairs(order) do
    if keep[step] then rows[#rows + 1] = step end
  end
  return rows, #order - #rows
end

local function failure_title(failure)
  local attempt, step = failure.attempt, failure.step
  return step.name .. (#step.attempts > 1 and ", attempt " .. failure.n or "") .. ": "
    .. label(attempt.state)
    .. (attempt.id and ", " .. (attempt.service or "job") .. " job " .. tostring(attempt.id)
      or "")
end

local function failure_text(attempt)
  local err = attempt.err
  if not err then return nil end
  return tostring(err.message or "") .. (err.code and " (code " .. tostring(err.code) .. ")"
    or "")
end

-- Without the traceback of an error.
local function first_line(attempt)
  local text = failure_text(attempt)
  return text and text:match "[^\n]+"
end

-- What went wrong; of attempts that failed alike in a row the last.
local function failures(ledger)
  local list = {}
  for _, step in ipairs(ledger.order) do
    for n, attempt in ipairs(step.attempts) do
      local after = step.attempts[n + 1]
      local again = after and after.state == attempt.state
        and failure_text(after) == failure_text(attempt)
      if bad(attempt.state) and not again then
        list[#list + 1] = { step = step, n = n, attempt = attempt }
      end
    end
  end
  return list
end

local function view_of(run)
  local ledger = run.ledger
  local rows, omitted = chosen(ledger)
  return { title = (run.path:gsub("^.*/", "")), headline = headline(ledger), span = span(ledger),
    ledger = ledger, rows = rows, omitted = omitted, label = label }
end

local function svg_failures(run)
  local blocks = {}
  for i, failure in ipairs(failures(run.ledger)) do
    if i > 20 then break end
    blocks[i] = { title = failure_title(failure), text = first_line(failure.attempt),
      log = failure.attempt.log }
  end
  return blocks
end

local function html_failures(run)
  local out, escape = {}, paint.escape
  for _, failure in ipairs(failures(run.ledger)) do
    local log = failure.attempt.log
    out[#out + 1] = string.format("<section><h3>%s</h3>%s%s</section>",
      escape(failure_title(failure)),
      failure_text(failure.attempt) and "<p>" .. escape(failure_text(failure.attempt)) .. "</p>"
        or "",
      log and log[1] and "<pre>" .. escape(table.concat(log, "\n")) .. "</pre>" or "")
  end
  return #out > 0 and "<h2>What went wrong</h2>\n" .. table.concat(out, "\n") or ""
end

local SCHEMA = { overwrite = "boolean", durable = "boolean" }

local function write(where, run, path, opts, draw)
  options.argument(where, "path", path, "text")
  opts = options.check(where, opts, SCHEMA)
  local writer, err = core.writer(path, { overwrite = opts.overwrite ~= false,
    durable = host.durable(nil, opts.durable) })
  if not writer then return nil, err end
  local ok, bytes
  ok, err = writer:write(draw(view_of(run)))
  if not ok then
    writer:discard()
    return nil, err
  end
  bytes, err = writer:commit()
  if not bytes then return nil, err end
  return true
end

--- Writes the timeline as one SVG file.
function M.svg(run, path, opts)
  return write("svg", run, path, opts, function(view)
    return paint.svg(view, svg_failures(run))
  end)
end

--- Writes timeline, failures and last log lines as one HTML file.
function M.html(run, path, opts)
  return write("html", run, path, opts, function(view)
    return paint.page(view, paint.svg(view, nil), html_failures(run))
  end)
end

--- The run as aligned lines for a terminal.
---@return string
function M.table(run)
  local ledger, rows = run.ledger, {}
  local columns = { "step", "state", "job", "tries", "started", "took" }
  for i, step in ipairs(ledger.order) do
    local attempt = last_attempt(step)
    rows[i] = { text_table.clip(step.name, 40, 10), label(attempt.state), attempt.id or "",
      #step.attempts, paint.time(attempt.from), paint.took(step, ledger.last),
      first_line(attempt) }
    columns[7] = columns[7] or attempt.err and "error"
  end
  return headline(ledger) .. (rows[1] and "\n" .. text_table.table(rows, columns) or "")
end

return M
