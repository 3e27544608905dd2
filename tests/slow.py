"""The slow tests: each starts first and alone, so that no single test delays the end of the suite."""

from typing import Dict

# Seconds on an idle machine, roughly, as `python3 -m tests` shows them. Tests that are not listed take under three.
SECONDS: "Dict[str, float]" = {
    "test_lockout.LockoutTest.test_shut_no_DVD": 50,
    "test_agreement.AgreementTest.test_every_image_without_python": 40,
    "test_essential.FirstBootTest.test_closed_and_full_streams": 30,
    "test_essential.OptionsTest.test_gate_writable_by_others_is_not_run": 30,
    "test_agreement.AgreementTest.test_lock_outs": 27,
    "test_cli.SealedRunTest.test_passing_io_error": 27,
    "test_provision.FaultTest.test_every_fault": 27,
    "test_agreement.AgreementTest.test_every_image_with_python": 26,
    "test_essential.OptionsTest.test_gate_folder_writable_by_others_is_refused": 25,
    "test_essential_account.AccountTest.test_doas_accepts_the_rule": 25,
    "test_rehearse.ImageRehearsalTest.test_real_trees": 22,
    "test_essential_account.AccountTest.test_options_of_sshd": 20,
    "test_essential_trouble.TroubleTest.test_slow": 20,
    "test_rehearse.ImageRehearsalTest.test_verdict_agrees_with_check": 16,
    "test_essential.OnceTest.test_hook_is_disabled_for_each_init_system": 15,
    "test_essential_account.AccountTest.test_names": 15,
    "test_provision.FirstBootTest.test_network_card_is_named": 15,
    "test_essential.OptionsTest.test_gate_of_another_owner_is_not_run": 14,
    "test_essential_account.AccountTest.test_keys": 14,
    "test_essential_account.AccountTest.test_every_shell": 13,
    "test_compiled.CompiledTest.test_byte_code_writable_by_others_is_ignored": 12,
    "test_essential_account.AccountTest.test_names_of_options_in_mixed_case": 12,
    "test_essential.FirstBootTest.test_every_client": 12,
    "test_essential.FirstBootTest.test_every_shell": 12,
    "test_essential.NameTest.test_names_are_the_same_as_in_python": 12,
    "test_system.InterruptedTest.test_every_instruction": 12,
    "test_essential.OptionsTest.test_gate_target_writable_by_others_is_not_run": 11,
    "test_essential_account.AccountTest.test_links_in_the_home_are_not_followed": 11,
    "test_goal_state.ReportTest.test_most_relevant_failure_is_reported": 10,
    "test_rehearse.ImageRehearsalTest.test_every_init_system": 10,
    "test_check_hook.EveryInitTest.test_hook_is_reached_after_install": 9,
    "test_essential_trouble.TroubleTest.test_deadline": 9,
    "test_generalize.GeneralizeTest.test_killed_at_any_write": 9,
    "test_init_runit.RunsvdirTest.test_disabled_while_running": 9,
    "test_rehearse.ImageRehearsalTest.test_exit_code_is_that_of_the_boot": 9,
    "test_check.HostileTest.test_large_files_are_read_in_time": 8,
    "test_crash.CrashTest.test_power_cut_at_every_point": 8,
    "test_init_runit.RunsvdirTest.test_runs_once_a_boot": 8,
    "test_zipapp.BuildTest.test_incomplete_checkout": 8,
    "test_once.FailedBootTest.test_failed_boot_keeps_the_hook": 7,
    "test_essential_trouble.TroubleTest.test_clients_with_headers": 6,
    "test_essential_trouble.TroubleTest.test_goal_state": 6,
    "test_chaos.ChaosTest.test_first_boots_with_random_trouble": 5,
    "test_endpoint.EndpointTest.test_damaged_leases_are_ignored_in_time": 5,
    "test_essential_trouble.TroubleTest.test_hostile_ids": 5,
    "test_essential_trouble.TroubleTest.test_imds": 5,
    "test_fuzz.RoundTest.test_short_round": 5,
    "test_rehearse.ImageRehearsalTest.test_gates_are_not_run": 5,
    "test_check_python.NeededTest.test_needed_lists_the_imports_of_a_boot": 4,
    "test_cli.RehearseTest.test_interrupted": 4,
    "test_cli.SealedRunTest.test_detach_returns_at_once": 4,
    "test_cli.UsageTest.test_locale_does_not_matter": 4,
    "test_essential.SmallPythonTest.test_python_with_all_modules_is_used": 4,
    "test_essential_trouble.TroubleTest.test_report_is_never_accepted": 4,
    "test_recipes.PackageTest.test_debian": 4,
    "test_secrets.SecretsTest.test_leak_is_detected": 4,
    "test_compiled.CompiledTest.test_damaged_byte_code_is_ignored": 3,
    "test_compiled.CompiledTest.test_on_every_python": 3,
    "test_essential.FirstBootTest.test_detached": 3,
    "test_essential.OptionsTest.test_invalid_addresses_are_ignored": 3,
    "test_essential_trouble.TroubleTest.test_report": 3,
    "test_fetch.DvdTest.test_dvd_never_appears": 3,
    "test_install.InstallTest.test_in_every_kind_of_image": 3,
    "test_install.MountTest.test_no_more_inodes": 3,
    "test_manual.PackageTest.test_make_install": 3,
    "test_once.OnceTest.test_first_boot_disables_the_hook": 3,
    "test_provision.FaultTest.test_unreachable": 3,
    "test_root_disk.RealDiskTest.test_image": 3,
}

# Tests that only `make test-shell` runs: a shell, sshd or sudo answers, so they are the same with every Python.
SHELL = (
    "test_essential",  # the shell implementation: a first boot, once only, options, gates
    "test_essential_account",  # its accounts, keys and rights
    "test_essential_trouble",  # with an Azure that is slow, broken or absent
    "test_agreement",  # it does what Python does, on every kind of image
    "test_lockout",  # logins on a tree of real packages
)

# Tests that only `make hostile` runs: attempts to break a promise of .github/SECURITY.md.
ATTACKS = (
    "test_races",  # the owner of an image swaps its files
    "test_mounts",  # mounts in an image
    "test_processes",  # processes of users beside ours, with any name
    "test_holders",  # a user stops a tool that holds a lock
    "test_rights",  # files of ours that others may write to
    "test_lock",  # commands in the middle of a boot
    "test_remedies",  # names that a shell would read as commands
    "test_odd",  # names and numbers that no code expects
    "test_root",  # values of --root
    "test_strangers",  # other processes on the port of a rehearsal
    "test_streams",  # closed and full descriptors
    "test_whole",  # a damaged file
    "test_budget",  # work without an end
    "test_text",  # line ends that only Python accepts
    "test_essential_hostile",  # the shell implementation: redirects, links and pipes
)

# The modules that a plain `python3 -m tests` leaves out: `--also NAME` adds them, and `--only NAME` runs only them.
GROUPS = {"attacks": ATTACKS, "shell": SHELL}
