;; Sets this VM up with the data from Azure and reports Ready. Put the file azure-provisioning beside the system's
;; declaration, this into it, and azure-provisioning-service among its services. It needs the modules (gnu services),
;; (gnu services shepherd), (gnu packages python) and (guix gexp).
;; The service stays enabled: after Azure has accepted Ready from a VM, it ends at once at each boot.
(define azure-provisioning-service
  (simple-service 'azure-provisioning shepherd-root-service-type
    (list (shepherd-service
            (documentation "Azure Provisioning")
            (provision '(azure-provisioning))
            (requirement '(user-processes))
            (one-shot? #t)
            (start #~(lambda _
                       (zero? (system* #$(file-append python "/bin/python3") "-I" "-S"
                                       #$(local-file "azure-provisioning") "run" "--detach"))))))))
