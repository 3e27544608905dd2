# Turns the VM that Packer made into an image whose VMs come up without an agent. Your source goes into `sources`, and
# the released file azure-provisioning beside this one. These provisioners have to be the last ones: afterwards the
# machine is only to be captured.

variable "sources" {
  type    = list(string)
  default = ["source.azure-arm.image"]
}

build {
  sources = var.sources

  provisioner "file" {
    source      = "${path.root}/azure-provisioning"
    destination = "/tmp/azure-provisioning"
  }

  provisioner "shell" {
    execute_command = "sudo -n env {{ .Vars }} sh {{ .Path }}"
    inline = [
      "chmod 0755 /tmp/azure-provisioning",
      "/tmp/azure-provisioning install",
      "/tmp/azure-provisioning generalize --yes",
      "rm -f /tmp/azure-provisioning",
      "sync",
    ]
  }
}
