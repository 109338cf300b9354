# Stand-in for docker.io/library/rabbitmq:4-management: its user, ports, first user by variables, and volume.
FROM localhost/callstitch-stand-in/servers
RUN echo 'rabbitmq:x:990:990::/var/lib/rabbitmq:/bin/sh' >>/etc/passwd && echo 'rabbitmq:x:990:' >>/etc/group
RUN mkdir -p /etc/rabbitmq/conf.d /var/lib/rabbitmq /var/log/rabbitmq \
    && echo '[rabbitmq_management,rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins \
    && printf 'loopback_users = none\nlog.console = true\nlog.file = false\n' >/etc/rabbitmq/rabbitmq.conf \
    && chown -R rabbitmq: /etc/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
COPY --chmod=755 rabbitmq-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- PATH=/usr/local/bin:/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER rabbitmq
VOLUME /var/lib/rabbitmq
EXPOSE 5672 15672 15692
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]
