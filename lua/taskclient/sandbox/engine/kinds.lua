-- How each kind of job is run: which program, what its lines mean, what its failure says.
-- A kind is a function(job) that returns the process's spec for work.lua; `job` offers
-- log(line), text(alias) (the text result set), add_result(...), progress(fraction, info).

local result_file = require "taskclient.sandbox.engine.result_file"

local M = {}

local ARGUMENT_LIMIT = 100000 -- bytes of code that fit into one argument of exec
local ERROR_LIMIT = 64 * 1024

local function collector()
  local list, size = {}, 0
  return function(line)
    size = size + #line + 1
    if size < ERROR_LIMIT then list[#list + 1] = line end
  end, function() return table.concat(list, "\n") end
end

-- shell: every line is output; standard error is what a failure says (protocols 3.1).
local function shell(job)
  local keep, errors = collector()
  local code = job.task.code
  local arguments = { "-c", code }
  if #code > ARGUMENT_LIMIT then
    arguments = { job:scratch("code.sh", code) }
  end
  return {
    program = "sh", args = arguments,
    on_line = function(stream, line)
      line = result_file.clean(line)
      job:log(line)
      if stream == "out" then job:text("1"):line(line) else keep(line) end
    end,
    failure = function(exit, signal)
      local text = errors()
      if text == "" then
        text = signal > 0 and ("signal %d"):format(signal) or ("exit code %d"):format(exit)
      end
      return "run shell failed with error:\n " .. text
    end,
    drops_output = true, -- a failed job's result keeps its header only
  }
end

-- python: prints become one text result, kept also when it fails.
local function python(job)
  local keep, errors = collector()
  return {
    program = "python3", args = { "-u", "-" }, input = job.task.code .. "\n",
    on_line = function(stream, line)
      line = result_file.clean(line)
      job:log(line)
      if stream == "out" then job:text(""):line(line) else keep(line) end
    end,
    failure = function(exit, signal)
      local text = errors()
      if text == "" then text = ("exit code %d, signal %d"):format(exit, signal) end
      return "PythonExecuteError: errCode: 60002 ,desc: " .. text
        .. " ,ip: 127.0.0.1 ,port: " .. job.instance:match("%d+$")
        .. " ,serviceKind: linkis-cg-engineconn"
    end,
  }
end

-- What sql_runner.lua reports, a line each: word, tab, values.
local reports = {
  total = function(job, count) job.statements = tonumber(count) end,
  result = function(job, index, rows) job:add_result("_" .. index, "2", tonumber(rows)) end,
  done = function(job, count)
    local total = math.max(job.statements or 1, 1)
    job:progress(tonumber(count) / total, { total = total, succeed = tonumber(count) })
  end,
}

local function sql(job)
  local keep, errors = collector()
  local limit = job.task.engine == "jdbc" and job.settings.jdbc_limit or 0
  return {
    program = job.interpreter,
    args = { job.scripts .. "sql_runner.lua", job.data_file, job:folder(), tostring(limit) },
    input = job.task.code,
    on_line = function(stream, line)
      local word, first, second = line:match("^(%a+)\t([^\t]*)\t?(.*)$")
      if stream == "out" and reports[word] then return reports[word](job, first, second) end
      keep(result_file.clean(line))
    end,
    failure = function(exit, signal)
      local text = errors()
      if text ~= "" then return text end
      return ("the engine ended with code %d, signal %d"):format(exit, signal)
    end,
  }
end

local by_run_type = {
  shell = shell, sh = shell, python = python, py = python, pyspark = python,
  sql = sql, hql = sql, jdbc = sql, psql = sql, tsql = sql, fql = sql,
}
local by_engine = {
  shell = shell, python = python, jdbc = sql, spark = sql, hive = sql, presto = sql, trino = sql,
}

---How to run a task; nil when no such engine is installed.
---@param task table row of the task table
---@return function?
function M.of(task)
  local name, version = task.engine_label:match("^([^-]+)%-(.+)$")
  if not version or not by_engine[name] then return nil end
  return by_run_type[task.run_type] or by_engine[name]
end

return M
