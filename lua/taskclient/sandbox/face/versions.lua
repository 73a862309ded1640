-- What the Linkis versions differ in (protocols 6), as a table of features.
-- Pure data: who asks does `profile().feature`.

local settings = require "taskclient.sandbox.face.settings"

local M = {}

M.newest = {
  -- end points and their forms
  submit = true, kill_jobs = "id", kill_needs_task = false, kill_owner_check = true,
  progress_with_resource = true, task_id_as_id = true, legacy_exec_id = false, execute_user = true,
  listundone = true, list_taskids = true, brief = false,
  -- sessions
  cookie = "linkis_user_session_ticket_id_v1", session_time_out = true, token_login = true,
  already_text = "new", already_status = 0,
  -- task objects and logs
  number_progress = false, labels = true, code_in_get = false,
  log_base = 1, log_level = false, simple_log = false,
  -- results
  null_value = true, column_paging = true, row_limit = 100000,
  csv_separator = true, csv_limit = true, csv_quote = true, keep_newline = true,
  -- errors, and the server that is made of the published page
  gateway_json = true, published = false,
}

local function derive(base, changes)
  return setmetatable(changes, { __index = base })
end

local v18 = M.newest
local v19 = derive(v18, { task_id_as_id = false, brief = true, log_level = true })
local v16 = derive(v18, {
  list_taskids = false, column_paging = false, row_limit = false, keep_newline = false,
  code_in_get = true,
})
local v14 = derive(v16, {
  task_id_as_id = false, null_value = false, log_base = 0, gateway_json = false,
  already_text = "old",
})
local v11 = derive(v14, {
  progress_with_resource = false, kill_jobs = "plain", kill_needs_task = true,
  kill_owner_check = false, execute_user = false, cookie = "bdp-user-ticket-id",
  session_time_out = false, token_login = false, listundone = false, csv_separator = false,
  csv_limit = false, csv_quote = false,
})
local v011 = derive(v11, {
  submit = false, legacy_exec_id = true, kill_jobs = false, kill_needs_task = false,
  number_progress = true, labels = false, already_status = 1,
})

M.profiles = {
  ["0.11"] = v011, ["1.1"] = v11, ["1.4"] = v14, ["1.6"] = v16, ["1.8"] = v18, ["1.9"] = v19,
  published = derive(v18, { published = true, task_id_as_id = false, null_value = false,
    column_paging = false, row_limit = false, log_base = 0, simple_log = true }),
}

---The profile in force.
---@return table
function M.profile()
  return M.profiles[settings.version] or M.newest
end

return M
