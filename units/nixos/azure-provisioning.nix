# Sets this VM up with the data from Azure and reports Ready. Put the file azure-provisioning beside this one, and add
#   imports = [ ./azure-provisioning.nix ];
# The service stays in the configuration: after Azure has accepted Ready from a VM, it ends at once at each boot.
{ pkgs, ... }:
{
  users.mutableUsers = true;
  systemd.services.azure-provisioning = {
    description = "Azure Provisioning";
    wantedBy = [ "multi-user.target" ];
    after = [ "local-fs.target" "systemd-tmpfiles-setup.service" "network.target" ];
    before = [ "sshd.service" ];
    restartIfChanged = false;
    serviceConfig = {
      Type = "notify";
      NotifyAccess = "main";
      ExecStart = "${pkgs.python3}/bin/python3 -I -S ${./azure-provisioning} run";
      RemainAfterExit = true;
      TimeoutStartSec = 120;
      TimeoutStopSec = 20;
      UMask = "0022";
    };
  };
  # The name comes from Azure, and the administrator's rule for sudo from the program.
  networking.hostName = "";
  security.sudo.extraConfig = "@includedir /etc/sudoers.d";
  environment.etc."azure-provisioning.conf".text = ''
    every_boot = yes
    hosts = no
  '';
}
